//! Embeddings that wait for those of the other model, and chunks that wait for embeddings.

use std::collections::{HashMap, VecDeque};

use super::embedding::Embedding;

/// Embeddings by sequence number, from the oldest that may still be needed.
#[derive(Debug)]
pub(super) struct Vectors {
    width: usize,
    oldest: u64,
    slots: VecDeque<VectorSlot>,
    /// Embeddings from an earlier run that are not needed yet.
    earlier: HashMap<u64, Embedding>,
}

/// The state of a sequence.
#[derive(Debug, Default)]
enum VectorSlot {
    #[default]
    Nothing,
    /// Chunks that wait for its embedding: one, and seldom more.
    Awaited(u64, Vec<u64>),
    There(Embedding),
}

impl Vectors {
    /// Creates it for embeddings of `width` values, with those of an earlier run.
    pub(super) fn new(width: usize, earlier: HashMap<u64, Embedding>) -> Self {
        Vectors { width, oldest: 0, slots: VecDeque::new(), earlier }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Stores the embedding of a sequence. Returns the chunks that waited for it, once per request.
    pub(super) fn put(&mut self, number: u64, embedding: Embedding) -> impl Iterator<Item = u64> + use<> {
        self.take_earlier(number);
        // An older sequence is not needed: its chunks are written.
        let slot = self.slot(number).map(|slot| std::mem::replace(slot, VectorSlot::There(embedding)));
        let (first, others) = match slot {
            Some(VectorSlot::Awaited(first, others)) => (Some(first), others),
            _ => (None, Vec::new()),
        };
        first.into_iter().chain(others)
    }

    /// Returns whether the embedding of a sequence exists; if not, `chunk` waits for it.
    pub(super) fn is_there(&mut self, number: u64, chunk: u64) -> bool {
        let earlier = self.take_earlier(number);
        let slot = self.slot(number).expect("a chunk asks for nothing older than its oldest sequence");
        match (&mut *slot, earlier) {
            (VectorSlot::There(_), _) => return true,
            (VectorSlot::Awaited(_, others), _) => others.push(chunk),
            (VectorSlot::Nothing, None) => *slot = VectorSlot::Awaited(chunk, Vec::new()),
            (VectorSlot::Nothing, Some(embedding)) => {
                *slot = VectorSlot::There(embedding);
                return true;
            }
        }
        false
    }

    /// Returns the embedding of a sequence, if it exists.
    pub(super) fn get(&self, number: u64) -> Option<&Embedding> {
        match self.slots.get(number.checked_sub(self.oldest)? as usize)? {
            VectorSlot::There(embedding) => Some(embedding),
            _ => None,
        }
    }

    /// Drops all sequences before `oldest`.
    pub(super) fn forget(&mut self, oldest: u64) {
        while self.oldest < oldest {
            self.slots.pop_front();
            self.take_earlier(self.oldest);
            self.oldest += 1;
        }
    }

    /// Returns all embeddings that may still be needed, with the numbers of their sequences.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &Embedding)> {
        let there = (self.oldest..).zip(&self.slots).filter_map(|(number, slot)| match slot {
            VectorSlot::There(embedding) => Some((number, embedding)),
            _ => None,
        });
        there.chain(self.earlier.iter().map(|(number, embedding)| (*number, embedding)))
    }

    fn take_earlier(&mut self, number: u64) -> Option<Embedding> {
        // Usually there are none, which saves the look-up.
        if self.earlier.is_empty() { None } else { self.earlier.remove(&number) }
    }

    fn slot(&mut self, number: u64) -> Option<&mut VectorSlot> {
        let place = number.checked_sub(self.oldest)? as usize;
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, VectorSlot::default);
        }
        self.slots.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f32) -> Embedding {
        vec![value].into()
    }

    #[test]
    fn putting_an_embedding_returns_the_chunks_that_waited_for_it() {
        let earlier = HashMap::from([(6, one(6.0)), (7, one(7.0))]);
        let mut vectors = Vectors::new(1, earlier);
        assert!(!vectors.is_there(3, 10) && !vectors.is_there(3, 11) && !vectors.is_there(3, 10));
        assert!(vectors.get(3).is_none() && vectors.get(9).is_none());
        assert_eq!(vectors.put(3, one(0.5)).collect::<Vec<_>>(), [10, 11, 10]);
        assert!(vectors.is_there(3, 12));
        assert_eq!(vectors.get(3).map(|own| own[0]), Some(0.5));
        assert_eq!(vectors.put(5, one(1.0)).count(), 0);
        vectors.forget(5);
        assert_eq!([3, 5].map(|number| vectors.get(number).map(|own| own[0])), [None, Some(1.0)]);
        assert_eq!(vectors.put(3, one(0.5)).count(), 0);
        assert!(vectors.is_there(6, 13));
        let all = |vectors: &Vectors| {
            let mut all: Vec<_> = vectors.all().map(|(number, embedding)| (number, embedding[0])).collect();
            all.sort_by_key(|(number, _)| *number);
            all
        };
        assert_eq!(all(&vectors), [(5, 1.0), (6, 6.0), (7, 7.0)]);
        vectors.forget(8);
        assert_eq!(all(&vectors), []);
    }
}
