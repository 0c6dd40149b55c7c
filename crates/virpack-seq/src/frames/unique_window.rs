//! Finds duplicate sequences.

use std::collections::HashMap;

/// Numbers sequences. Equal sequences within one window have the same number.
#[derive(Debug)]
pub(super) struct UniqueWindow {
    window: usize,
    known: HashMap<Box<[u8]>, u64>,
    next: u64,
    /// The first number of this window.
    oldest: u64,
}

impl UniqueWindow {
    /// Returns a window of `window` distinct sequences.
    pub(super) fn new(window: usize) -> Self {
        UniqueWindow { window: window.max(1), known: HashMap::new(), next: 0, oldest: 0 }
    }

    /// Returns the smallest number that may occur again.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Returns whether this window has room for `sequences` more, whose numbers must all be at least
    /// [`UniqueWindow::oldest`].
    pub(super) fn has_room(&self, sequences: usize) -> bool {
        self.known.len() + sequences <= self.window
    }

    /// Begins a window: no earlier number occurs again.
    pub(super) fn begin(&mut self) {
        self.known.clear();
        self.oldest = self.next;
    }

    /// Returns the number of a sequence, and whether it is new.
    pub(super) fn number(&mut self, letters: &[u8]) -> (u64, bool) {
        if let Some(&number) = self.known.get(letters) {
            return (number, false);
        }
        let number = self.next;
        self.next += 1;
        self.known.insert(letters.into(), number);
        (number, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_within_a_window() {
        let mut unique = UniqueWindow::new(3);
        let mut number = |letters: &str| {
            if !unique.has_room(1) {
                unique.begin();
            }
            let (number, new) = unique.number(letters.as_bytes());
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
