//! One input sequence and its place in the input.

use std::sync::Arc;

/// One input sequence and its place in the input.
///
/// A reader fills the same record again and again, so that reading allocates only for the id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The record's place over all inputs, from 0.
    pub index: u64,
    /// Which input the record stands in, from 0.
    pub source: u32,
    /// The line of its header in that input, from 1.
    pub line: u64,
    /// The first word of the header, whole.
    pub id: Arc<str>,
    /// The rest of the header, without the blanks before it.
    pub description: String,
    /// The letters as they stand in the file, line ends removed.
    pub sequence: Vec<u8>,
}

/// A record that got no tokens, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRecord {
    /// The record's place over all inputs, from 0.
    pub record: u64,
    /// Which input the record stands in, from 0.
    pub source: u32,
    /// The line of its header in that input, from 1.
    pub line: u64,
    /// The first word of its header.
    pub id: Arc<str>,
    /// Residues (or bases) in the record.
    pub length: u64,
    /// Why it was left out.
    pub reason: SkipReason,
}

/// Why a record was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// A header without a sequence.
    Empty,
    /// Shorter than the smallest length asked for.
    TooShort,
    /// Longer than the largest length, under the policy that skips such records.
    TooLong,
}

impl SkipReason {
    /// The word that stands in the table of skipped records.
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Empty => "empty",
            SkipReason::TooShort => "too_short",
            SkipReason::TooLong => "too_long",
        }
    }
}
