//! One input sequence and its place in the input.

use std::borrow::Cow;
use std::sync::Arc;

use crate::escape::escaped;

/// Letters of an id in a message.
const SHOWN_LETTERS: usize = 60;

/// One input sequence and its place in the input.
///
/// A reader refills one record, so that reading allocates only for the id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The record's place over all inputs, from 0.
    pub index: u64,
    /// The number of the record's input, from 0.
    pub source: u32,
    /// The line of its header in that input, from 1; in BAM the record's number.
    pub line: u64,
    /// The first word of the header, complete.
    pub id: Arc<str>,
    /// The rest of the header, without the blanks before it.
    pub description: String,
    /// The letters as they are in the file, without line ends.
    pub sequence: Vec<u8>,
}

impl Record {
    /// Returns a record in memory, with its id and its letters, for
    /// [`Records::from_records`](crate::Records::from_records).
    ///
    /// ```
    /// use virpack_seq::Record;
    ///
    /// assert_eq!(Record::new("P1", "MKTLLV").sequence.len(), 6);
    /// ```
    pub fn new(id: impl Into<Arc<str>>, sequence: impl Into<Vec<u8>>) -> Record {
        Record { id: id.into(), sequence: sequence.into(), ..Record::default() }
    }
}

/// A record without tokens, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRecord {
    /// The record's place over all inputs, from 0.
    pub record: u64,
    /// The number of the record's input, from 0.
    pub source: u32,
    /// The line of its header in that input, from 1.
    pub line: u64,
    /// The first word of its header.
    pub id: Arc<str>,
    /// Residues (or bases) in the record.
    pub length: u64,
    /// The reason.
    pub reason: SkipReason,
}

/// Why a record was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// A header without a sequence.
    Empty,
    /// Shorter than the minimum length.
    TooShort,
    /// Longer than the maximum length, under the policy that skips such records.
    TooLong,
}

impl SkipReason {
    /// Returns the word in the table of skipped records.
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Empty => "empty",
            SkipReason::TooShort => "too_short",
            SkipReason::TooLong => "too_long",
        }
    }
}

/// Returns an id as messages and tables for people show it: at most 60 letters, a mark if more follow, and
/// `(no id)` if the header has none; escaped as by [`escaped`].
///
/// ```
/// assert_eq!(virpack_seq::shown_id("sp|P69905"), "sp|P69905");
/// assert_eq!(virpack_seq::shown_id(""), "(no id)");
/// assert_eq!(virpack_seq::shown_id("a\u{1b}[2J"), "a\\x1b[2J");
/// assert_eq!(virpack_seq::shown_id(&"g".repeat(1000)), "g".repeat(59) + "…");
/// ```
pub fn shown_id(id: &str) -> Cow<'_, str> {
    let mut letters = id.char_indices().map(|(place, _)| place).skip(SHOWN_LETTERS - 1);
    match (letters.next(), letters.next()) {
        (Some(last), Some(_)) => format!("{}…", escaped(&id[..last])).into(),
        _ if id.is_empty() => "(no id)".into(),
        _ => escaped(id),
    }
}
