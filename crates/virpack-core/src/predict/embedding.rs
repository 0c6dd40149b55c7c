//! The embedding of a sequence.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// The embedding of a sequence: one row of a device's result. Clones share the memory of that result.
#[derive(Clone, Debug)]
pub(super) struct Embedding {
    rows: Arc<Vec<f32>>,
    place: Range<usize>,
}

impl Embedding {
    /// Splits rows of `width` values into embeddings, in order.
    pub(super) fn of_rows(rows: Vec<f32>, width: usize) -> impl Iterator<Item = Embedding> {
        let count = rows.len() / width.max(1);
        let rows = Arc::new(rows);
        (0..count)
            .map(move |row| Embedding { rows: Arc::clone(&rows), place: row * width..(row + 1) * width })
    }
}

impl Deref for Embedding {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.rows[self.place.clone()]
    }
}

impl From<Vec<f32>> for Embedding {
    fn from(row: Vec<f32>) -> Self {
        Embedding { place: 0..row.len(), rows: Arc::new(row) }
    }
}
