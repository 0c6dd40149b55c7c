//! Keeps the best of many items, as they arrive.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// The rank of an item on a page: by score; of equal scores, the longer first; then in input order. Records
/// without a score are last. The best item has the smallest rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rank {
    score: f64,
    length: u64,
    index: u64,
}

impl Rank {
    pub(super) fn new(score: Option<f64>, length: u64, index: u64) -> Self {
        Rank { score: score.unwrap_or(f64::NEG_INFINITY), length, index }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = other.score.total_cmp(&self.score);
        order.then((Reverse(self.length), self.index).cmp(&(Reverse(other.length), other.index)))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank {}

/// Keeps the `most` best of the items that it receives.
#[derive(Debug)]
pub(super) struct Best<T> {
    most: usize,
    kept: BTreeMap<Rank, T>,
    /// The number of items received.
    pub(super) total: u64,
}

impl<T> Best<T> {
    pub(super) fn new(most: usize) -> Self {
        Best { most, kept: BTreeMap::new(), total: 0 }
    }

    /// Adds an item. `make` runs only if the item is among the best so far.
    pub(super) fn add(&mut self, rank: Rank, make: impl FnOnce() -> T) {
        self.total += 1;
        if self.kept.len() >= self.most && self.kept.last_key_value().is_none_or(|(worst, _)| rank >= *worst)
        {
            return;
        }
        self.kept.insert(rank, make());
        if self.kept.len() > self.most {
            self.kept.pop_last();
        }
    }

    /// Iterates over the best items, best first.
    pub(super) fn kept(&self) -> impl Iterator<Item = &T> {
        self.kept.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_their_order_and_others_are_not_made() {
        let mut best = Best::new(3);
        let mut made = 0;
        let scores = [Some(0.5), None, Some(0.9), Some(0.5), Some(0.1), Some(0.9), Some(0.5)];
        for (i, score) in (0..).zip(scores) {
            let length = if i == 5 { 20 } else { 10 };
            best.add(Rank::new(score, length, i), || {
                made += 1;
                i
            });
        }
        assert_eq!(best.kept().copied().collect::<Vec<_>>(), [5, 2, 0]);
        assert_eq!((best.total, made), (7, 5));
    }

    #[test]
    fn none_may_be_kept() {
        let mut best = Best::new(0);
        best.add(Rank::new(Some(1.0), 1, 0), || panic!("made"));
        assert_eq!((best.total, best.kept().count()), (1, 0));
    }
}
