//! How many sequences there are of each length.

/// How many sequences there are of each length, in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LengthHistogram {
    /// `counts[length]`, `[longest + 1]`.
    counts: Vec<u64>,
    sequences: u64,
    tokens: u64,
}

impl LengthHistogram {
    /// Counts one sequence of `length` tokens.
    ///
    /// ```
    /// let mut lengths = virpack_seq::LengthHistogram::default();
    /// lengths.add(7);
    /// assert_eq!((lengths.sequences(), lengths.tokens(), lengths.longest()), (1, 7, 7));
    /// ```
    #[inline]
    pub fn add(&mut self, length: u32) {
        let length = length as usize;
        if length >= self.counts.len() {
            self.counts.resize(length + 1, 0);
        }
        self.counts[length] += 1;
        self.sequences += 1;
        self.tokens += length as u64;
    }

    /// Returns the number of sequences.
    pub fn sequences(&self) -> u64 {
        self.sequences
    }

    /// Returns the tokens in all sequences.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Returns the tokens in the longest sequence; 0 if there is none.
    pub fn longest(&self) -> usize {
        self.counts.len().saturating_sub(1)
    }

    /// Iterates over every length that occurs, with its count, shortest first.
    ///
    /// ```
    /// let lengths: virpack_seq::LengthHistogram = [7, 3, 7].into_iter().collect();
    /// assert_eq!(lengths.iter().collect::<Vec<_>>(), [(3, 1), (7, 2)]);
    /// ```
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + Clone + '_ {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(length, &count)| (length as u64, count))
    }
}

impl Extend<u32> for LengthHistogram {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, lengths: I) {
        lengths.into_iter().for_each(|length| self.add(length));
    }
}

impl FromIterator<u32> for LengthHistogram {
    fn from_iter<I: IntoIterator<Item = u32>>(lengths: I) -> Self {
        let mut histogram = LengthHistogram::default();
        histogram.extend(lengths);
        histogram
    }
}
