//! Embeddings in memory: what a runner yields for a batch, and an embedder for its records.

use virpack_seq::SkippedRecord;

use crate::row::Row;

/// Embeddings of records.
///
/// An [`Embedder`](crate::Embedder) returns them in the order of its records. An
/// [`AsyncInferenceRunner`](crate::AsyncInferenceRunner) yields those of one batch, in the batch's order.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Embeddings {
    /// Values in a row: the width of the model, or of its pooled rows.
    pub hidden: usize,
    /// The records that have an embedding.
    pub rows: Vec<Row>,
    /// The values, row by row, `[rows.len(), hidden]`, or `[residues.sum(), hidden]` if every residue keeps
    /// its row.
    pub values: Vec<f32>,
    /// The number of rows of each record if every residue keeps its row; None if each record has one row.
    pub residues: Option<Vec<usize>>,
    /// The records that have no embedding, with the reason.
    pub skipped: Vec<SkippedRecord>,
}

impl Embeddings {
    pub(crate) fn empty(hidden: usize, is_residues: bool) -> Self {
        Embeddings { hidden, residues: is_residues.then(Vec::new), ..Embeddings::default() }
    }

    /// Iterates over the records with their values, `[hidden]` or `[residues, hidden]`.
    ///
    /// ```
    /// use virpack_core::seq::{Record, Records};
    /// use virpack_core::{Embedder, EmbedderOptions};
    ///
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide").pool(None), |_event| ())?;
    /// let embeddings = embedder.embed(Records::from_records("one", [Record::new("p", "MKQ")]))?;
    /// for (row, values) in embeddings.iter() {
    ///     assert_eq!((&*row.id, values.len()), ("p", 3 * embeddings.hidden));
    /// }
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&Row, &[f32])> {
        let mut rest = &self.values[..];
        self.rows.iter().enumerate().map(move |(i, row)| {
            let rows = self.residues.as_ref().map_or(1, |residues| residues[i]);
            let (own, behind) = rest.split_at(rows * self.hidden);
            rest = behind;
            (row, own)
        })
    }

    /// Returns the number of rows of values.
    pub(crate) fn value_rows(&self) -> usize {
        self.values.len() / self.hidden
    }

    /// Returns whether it is of no record at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.skipped.is_empty()
    }
}
