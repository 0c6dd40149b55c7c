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
    /// Residues (or bases) in the complete record, before truncation.
    pub length: u64,
    /// Whether only its beginning was embedded.
    pub truncated: bool,
    /// Letters that the model does not know, in the embedded part.
    pub unknown: u32,
    /// Gap characters (`-`, `.`) in the embedded part. They are not among the unknown letters.
    pub gaps: u32,
}

impl From<&SequenceIndex> for Row {
    /// Returns the row of a record that is one sequence. The windows of a longer record must be joined
    /// first.
    fn from(index: &SequenceIndex) -> Row {
        let SequenceIndex { number: record, source, length, truncated, unknown, gaps, .. } = *index;
        Row { record, source, id: Arc::clone(&index.id), length, truncated, unknown, gaps }
    }
}
