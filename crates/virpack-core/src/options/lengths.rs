//! Which lengths are accepted, before the model is known.

use virpack_seq::{LengthPolicy, LongRecords};

use super::setters;

/// Which lengths are accepted. The maximum may depend on the model.
///
/// ```
/// use virpack_core::{LengthOptions, seq::LongRecords};
///
/// let windows = LengthOptions::default().long_records(LongRecords::Window { overlap: 128 });
/// assert_eq!(windows.up_to(1022).max_length, 1022);
/// assert_eq!(windows.max_length(300).up_to(1022).max_length, 300);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LengthOptions {
    max_length: Option<usize>,
    min_length: usize,
    long_records: LongRecords,
}

impl Default for LengthOptions {
    /// Returns all lengths up to the model's maximum, longer records truncated.
    fn default() -> Self {
        LengthOptions { max_length: None, ..LengthPolicy::default().into() }
    }
}

impl From<LengthPolicy> for LengthOptions {
    fn from(LengthPolicy { max_length, min_length, long_records }: LengthPolicy) -> Self {
        LengthOptions { max_length: Some(max_length), min_length, long_records }
    }
}

impl LengthOptions {
    setters! {
        /// Sets the most residues, or bases, in a sequence; None: the model's maximum.
        max_length: impl Into<Option<usize>>,
        /// Sets the fewest residues, or bases, of a record; shorter ones are left out.
        min_length: usize,
        /// Sets what happens to longer records.
        ///
        /// ```
        /// use virpack_core::LengthOptions;
        /// use virpack_core::seq::LongRecords;
        ///
        /// let lengths = LengthOptions::default().long_records(LongRecords::Window { overlap: 100 });
        /// assert_eq!(lengths.up_to(1_022).long_records, LongRecords::Window { overlap: 100 });
        /// ```
        long_records: LongRecords,
    }

    /// Returns the lengths for a model that takes `longest` residues, or bases.
    ///
    /// ```
    /// use virpack_core::LengthOptions;
    ///
    /// let lengths = LengthOptions::default().min_length(30);
    /// assert_eq!((lengths.up_to(1_022).min_length, lengths.up_to(1_022).max_length), (30, 1_022));
    /// assert_eq!(lengths.max_length(500).up_to(1_022).max_length, 500);
    /// ```
    #[must_use]
    pub fn up_to(self, longest: usize) -> LengthPolicy {
        let LengthOptions { max_length, min_length, long_records } = self;
        LengthPolicy { max_length: max_length.unwrap_or(longest), min_length, long_records }
    }
}

/// Returns the name of what happens to long records, as users give it, and the overlap of windows.
pub(crate) fn named_long_records(long_records: LongRecords) -> (&'static str, Option<usize>) {
    match long_records {
        LongRecords::Truncate => ("truncate", None),
        LongRecords::Window { overlap } => ("window", Some(overlap)),
        LongRecords::Skip => ("skip", None),
        LongRecords::Error => ("error", None),
    }
}
