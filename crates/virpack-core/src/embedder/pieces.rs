//! Cuts embeddings into pieces of equal size.

use std::collections::VecDeque;

use crate::embeddings::Embeddings;
use crate::output::Turn;

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
