//! Embeddings in memory, in the order of their records.

use std::collections::VecDeque;

use virpack_seq::SkippedRecord;

use crate::output::Turn;
use crate::row::Row;

/// Embeddings of records, in the order of the records.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Embeddings {
    /// Values in a row: the model's width.
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
    pub(super) fn empty(hidden: usize, is_residues: bool) -> Self {
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
    fn value_rows(&self) -> usize {
        self.values.len() / self.hidden
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.skipped.is_empty()
    }
}

/// Cuts embeddings, which come in the order of their records, into pieces of equal numbers of rows.
pub(super) struct Pieces {
    /// Rows of values in a piece.
    rows: usize,
    /// The pieces that are cut.
    cut: VecDeque<Embeddings>,
    open: Embeddings,
}

impl Pieces {
    pub(super) fn new(hidden: usize, is_residues: bool, rows: usize) -> Self {
        Pieces { rows, cut: VecDeque::new(), open: Embeddings::empty(hidden, is_residues) }
    }

    /// Adds the embedding of the next record, or the reason why it has none.
    pub(super) fn push(&mut self, turn: Turn<'_>) {
        let (row, values) = match turn {
            Turn::Row(row, values) => (row, values),
            Turn::Skipped(skipped) => return self.open.skipped.push(skipped.clone()),
        };
        let rows = values.len() / self.open.hidden;
        // A record's rows stay together.
        if self.open.value_rows().saturating_add(rows) > self.rows && !self.open.rows.is_empty() {
            self.cut();
        }
        self.open.rows.push(row.clone());
        self.open.values.extend_from_slice(values);
        self.open.residues.iter_mut().for_each(|residues| residues.push(rows));
        if self.open.value_rows() >= self.rows {
            self.cut();
        }
    }

    /// Ends the open piece.
    pub(super) fn cut(&mut self) {
        let next = Embeddings::empty(self.open.hidden, self.open.residues.is_some());
        let piece = std::mem::replace(&mut self.open, next);
        if !piece.is_empty() {
            self.cut.push_back(piece);
        }
    }

    /// Returns the next piece.
    pub(super) fn pop(&mut self) -> Option<Embeddings> {
        self.cut.pop_front()
    }
}
