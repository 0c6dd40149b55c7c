//! Embeddings that wait for those of the other model.

use std::collections::VecDeque;

/// Embeddings by the numbers of their sequences, from the oldest that may still be asked for.
#[derive(Debug)]
pub(super) struct Vectors {
    width: usize,
    oldest: u64,
    rows: VecDeque<Option<Box<[f32]>>>,
}

impl Vectors {
    /// For embeddings of `width` values.
    pub(super) fn new(width: usize) -> Self {
        Vectors { width, oldest: 0, rows: VecDeque::new() }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Keeps the embedding of a sequence.
    pub(super) fn put(&mut self, number: u64, embedding: &[f32]) {
        // Nobody asks for what is older: its frames are done.
        let Some(place) = number.checked_sub(self.oldest) else { return };
        let place = place as usize;
        if self.rows.len() <= place {
            self.rows.resize(place + 1, None);
        }
        self.rows[place] = Some(embedding.into());
    }

    /// The embedding of a sequence, once it has come.
    pub(super) fn get(&self, number: u64) -> Option<&[f32]> {
        self.rows.get(number.checked_sub(self.oldest)? as usize)?.as_deref()
    }

    /// Lets go of all sequences before `oldest`.
    pub(super) fn forget(&mut self, oldest: u64) {
        while self.oldest < oldest {
            self.rows.pop_front();
            self.oldest += 1;
        }
    }
}
