//! Selects every N-th record, so that N machines share an input.

use std::fmt;
use std::str::FromStr;

/// One of the shards of an input. Records are dealt to the shards in turn.
///
/// ```
/// use virpack_seq::Shard;
///
/// let shard: Shard = "2/3".parse()?;
/// assert_eq!((0..7).filter(|&record| shard.contains(record)).collect::<Vec<u64>>(), [1, 4]);
/// assert!("0/3".parse::<Shard>().is_err() && "4/3".parse::<Shard>().is_err());
/// # Ok::<(), virpack_seq::ParseShardError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    of: u32,
    number: u32,
}

impl Shard {
    /// All records.
    pub const ALL: Shard = Shard { of: 1, number: 1 };

    /// Returns shard `number`, from 1, of `of`; None if there is no such shard.
    ///
    /// ```
    /// use virpack_seq::Shard;
    ///
    /// assert!(Shard::new(3, 3).is_some());
    /// assert!(Shard::new(0, 3).is_none() && Shard::new(4, 3).is_none());
    /// ```
    #[must_use]
    pub fn new(number: u32, of: u32) -> Option<Shard> {
        (1..=of).contains(&number).then_some(Shard { of, number })
    }

    /// Returns the number of the shard, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// Returns how many shards there are.
    #[must_use]
    pub fn of(self) -> u32 {
        self.of
    }

    /// Returns whether a record, by its place over all inputs, is in the shard.
    ///
    /// ```
    /// let shard = virpack_seq::Shard::new(2, 3).unwrap();
    /// assert!(shard.contains(1) && shard.contains(4) && !shard.contains(0));
    /// ```
    #[must_use]
    pub fn contains(self, record: u64) -> bool {
        record % u64::from(self.of) == self.first()
    }

    /// Returns the place of the first record in the shard, if the input has that many records.
    ///
    /// ```
    /// assert_eq!(virpack_seq::Shard::new(2, 3).unwrap().first(), 1);
    /// ```
    #[must_use]
    pub fn first(self) -> u64 {
        u64::from(self.number) - 1
    }
}

/// Text that does not name a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected I/N, with I from 1 to N")]
#[non_exhaustive]
pub struct ParseShardError;

impl FromStr for Shard {
    type Err = ParseShardError;

    fn from_str(text: &str) -> Result<Self, ParseShardError> {
        let parse = || {
            let (number, of) = text.split_once('/')?;
            Shard::new(number.parse().ok()?, of.parse().ok()?)
        };
        parse().ok_or(ParseShardError)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}
