//! A set of record numbers.

/// A set of record numbers over all inputs: one bit for each, up to the largest.
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
    /// Adds a record, and returns whether it is new.
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

    /// Returns whether a record is in the set.
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

    /// Returns the largest record number plus one; 0 if the set is empty.
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

    /// Returns the number of records in the set.
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

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
