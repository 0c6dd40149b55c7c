//! A record's facts beside its embedding, from the runner to the output.

use std::sync::Arc;

use virpack_seq::SequenceIndex;

/// A record's facts beside its embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record's place over all inputs, from 0.
    pub record: u64,
    /// The number of the input that the record comes from, from 0.
    pub source: u32,
    /// The record's full id.
    pub id: Arc<str>,
    /// Residues (or bases) in the whole record, before any cut.
    pub length: u64,
    /// Whether only its beginning was embedded.
    pub truncated: bool,
    /// Letters that the model does not know, in what was embedded of it.
    pub unknown: u32,
    /// Gap characters (`-`, `.`) in what was embedded of it; they are not among the unknown letters.
    pub gaps: u32,
}

impl From<&SequenceIndex> for Row {
    /// The row of a record that is one sequence; the windows of a longer one must be joined before.
    fn from(index: &SequenceIndex) -> Row {
        let SequenceIndex { number: record, source, length, truncated, unknown, gaps, .. } = *index;
        Row { record, source, id: Arc::clone(&index.id), length, truncated, unknown, gaps }
    }
}
