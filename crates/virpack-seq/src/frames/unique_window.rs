//! Finds duplicate sequences.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Numbers sequences. Equal sequences within one window have the same number.
#[derive(Debug)]
pub(super) struct UniqueWindow {
    window: usize,
    /// By the hashes of their letters.
    known: HashMap<u64, (Box<[u8]>, u64)>,
    /// Those whose hash is that of another sequence.
    others: HashMap<Box<[u8]>, u64>,
    next: u64,
    /// The first number of this window.
    oldest: u64,
}

impl UniqueWindow {
    /// Returns a window of `window` distinct sequences.
    pub(super) fn new(window: usize) -> Self {
        UniqueWindow {
            window: window.max(1),
            known: HashMap::new(),
            others: HashMap::new(),
            next: 0,
            oldest: 0,
        }
    }

    /// Returns the smallest number that may occur again.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Returns whether this window has room for `sequences` more, whose numbers must all be at least
    /// [`UniqueWindow::oldest`].
    pub(super) fn has_room(&self, sequences: usize) -> bool {
        self.known.len() + self.others.len() + sequences <= self.window
    }

    /// Begins a window: no earlier number occurs again.
    pub(super) fn begin(&mut self) {
        self.known.clear();
        self.others.clear();
        self.oldest = self.next;
    }

    /// Returns the number of a sequence whose letters have this hash, and whether it is new.
    pub(super) fn number(&mut self, letters: &[u8], hash: u64) -> (u64, bool) {
        let number = match self.known.entry(hash) {
            Entry::Vacant(entry) => {
                entry.insert((letters.into(), self.next));
                self.next
            }
            Entry::Occupied(known) if *known.get().0 == *letters => known.get().1,
            Entry::Occupied(_) => *self.others.entry(letters.into()).or_insert(self.next),
        };
        let is_new = number == self.next;
        self.next += u64::from(is_new);
        (number, is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the hash tells sequences apart or not.
    #[test]
    fn the_same_number_within_a_window() {
        [0, 1].into_iter().for_each(numbers_with);
    }

    fn numbers_with(factor: u64) {
        let mut unique = UniqueWindow::new(3);
        let mut number = |letters: &str| {
            if !unique.has_room(1) {
                unique.begin();
            }
            let hash = factor * u64::from(letters.as_bytes()[0]);
            let (number, new) = unique.number(letters.as_bytes(), hash);
            (number, new, unique.oldest())
        };
        assert_eq!(number("a"), (0, true, 0));
        assert_eq!(number("b"), (1, true, 0));
        assert_eq!(number("a"), (0, false, 0));
        assert_eq!(number("c"), (2, true, 0));
        // The window is full, whatever follows.
        assert_eq!(number("a"), (3, true, 3));
        assert_eq!(number("a"), (3, false, 3));
    }
}
