//! Embeddings that wait for those of the other model, and chunks that wait for embeddings.

use std::collections::VecDeque;

/// Embeddings by the numbers of their sequences, from the oldest that may still be asked for.
#[derive(Debug)]
pub(super) struct Vectors {
    width: usize,
    oldest: u64,
    slots: VecDeque<Slot>,
}

/// What is known of a sequence.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Nothing,
    /// Chunks wait for its embedding: one, and seldom others.
    Awaited(u64, Vec<u64>),
    There(Box<[f32]>),
}

impl Vectors {
    /// For embeddings of `width` values.
    pub(super) fn new(width: usize) -> Self {
        Vectors { width, oldest: 0, slots: VecDeque::new() }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Keeps the embedding of a sequence; gives the chunks that have waited for it, as often as they have asked.
    pub(super) fn put(&mut self, number: u64, embedding: &[f32]) -> impl Iterator<Item = u64> + use<> {
        // Nobody asks for what is older: its chunks are written.
        let slot = self.slot(number).map(|slot| std::mem::replace(slot, Slot::There(embedding.into())));
        let (first, others) = match slot {
            Some(Slot::Awaited(first, others)) => (Some(first), others),
            _ => (None, Vec::new()),
        };
        first.into_iter().chain(others)
    }

    /// Whether the embedding of a sequence is there; if not, `chunk` waits for it.
    pub(super) fn is_there(&mut self, number: u64, chunk: u64) -> bool {
        let slot = self.slot(number).expect("a chunk asks for nothing older than its oldest sequence");
        match slot {
            Slot::There(_) => return true,
            Slot::Awaited(_, others) => others.push(chunk),
            Slot::Nothing => *slot = Slot::Awaited(chunk, Vec::new()),
        }
        false
    }

    /// The embedding of a sequence, once it has come.
    pub(super) fn get(&self, number: u64) -> Option<&[f32]> {
        match self.slots.get(number.checked_sub(self.oldest)? as usize)? {
            Slot::There(embedding) => Some(embedding),
            _ => None,
        }
    }

    /// Lets go of all sequences before `oldest`.
    pub(super) fn forget(&mut self, oldest: u64) {
        while self.oldest < oldest {
            self.slots.pop_front();
            self.oldest += 1;
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let place = number.checked_sub(self.oldest)? as usize;
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, Slot::default);
        }
        self.slots.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_named_when_it_comes() {
        let mut vectors = Vectors::new(1);
        assert!(!vectors.is_there(3, 10) && !vectors.is_there(3, 11) && !vectors.is_there(3, 10));
        assert_eq!((vectors.get(3), vectors.get(9)), (None, None));
        assert_eq!(vectors.put(3, &[0.5]).collect::<Vec<_>>(), [10, 11, 10]);
        assert!(vectors.is_there(3, 12));
        assert_eq!(vectors.get(3), Some(&[0.5][..]));
        assert_eq!(vectors.put(5, &[1.0]).count(), 0);
        vectors.forget(5);
        assert_eq!((vectors.get(3), vectors.get(5)), (None, Some(&[1.0][..])));
        assert_eq!(vectors.put(3, &[0.5]).count(), 0);
    }
}
