//! Which records something holds for.

/// Records by their places over all inputs: a bit each, up to the last of them.
///
/// ```
/// let mut set = virpack_seq::IndexSet::default();
/// assert!(set.insert(70) && !set.insert(70));
/// assert_eq!((set.contains(70), set.contains(7), set.len()), (true, false, 1));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSet {
    words: Vec<u64>,
    len: u64,
}

impl IndexSet {
    /// Puts a record in; whether it was not there.
    ///
    /// ```
    /// let mut set = virpack_seq::IndexSet::default();
    /// assert!(set.insert(3));
    /// assert!(!set.insert(3));
    /// ```
    pub fn insert(&mut self, record: u64) -> bool {
        let (word, bit) = ((record / 64) as usize, 1 << (record % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(is_new);
        is_new
    }

    /// Whether a record is in it.
    ///
    /// ```
    /// let mut set = virpack_seq::IndexSet::default();
    /// set.insert(3);
    /// assert!(set.contains(3) && !set.contains(1_000_000));
    /// ```
    #[must_use]
    pub fn contains(&self, record: u64) -> bool {
        self.words.get((record / 64) as usize).is_some_and(|word| word & (1 << (record % 64)) != 0)
    }

    /// One more than the last record in it; 0 where it is empty.
    ///
    /// ```
    /// let mut set = virpack_seq::IndexSet::default();
    /// assert_eq!(set.end(), 0);
    /// set.insert(70);
    /// assert_eq!(set.end(), 71);
    /// ```
    #[must_use]
    pub fn end(&self) -> u64 {
        let last = self.words.last().map_or(0, |word| 64 - u64::from(word.leading_zeros()));
        64 * (self.words.len() as u64).saturating_sub(1) + last
    }

    /// Records in it.
    ///
    /// ```
    /// let mut set = virpack_seq::IndexSet::default();
    /// [1, 2, 2].into_iter().for_each(|number| _ = set.insert(number));
    /// assert_eq!(set.len(), 2);
    /// ```
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no record is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
