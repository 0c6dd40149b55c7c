//! Facts that a user should know about a run's records: how many records, and the first of them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Row;
use super::number_hash::NumberHash;

/// The most ids that are remembered, which takes 75 MB of memory.
const MOST_IDS: usize = 7 << 20;

/// Records with a common property, such as unknown letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotedRecords {
    /// Number of records.
    pub records: u64,
    /// Number of letters in all these records.
    pub letters: u64,
    /// The id of the first record.
    pub first: Option<Arc<str>>,
}

impl NotedRecords {
    /// Adds a record with this many of the letters; a record without any does not count.
    pub(super) fn add(&mut self, row: &Row, letters: u64) {
        if letters > 0 {
            self.records += 1;
            self.letters += letters;
            self.first.get_or_insert_with(|| Arc::clone(&row.id));
        }
    }
}

/// Ids that more than one record has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepeatedIds {
    /// Number of ids.
    pub ids: u64,
    /// The first id that was repeated.
    pub first: Option<Arc<str>>,
    /// Whether there were more ids than are remembered, so that other repeated ids may be missing.
    pub at_least: bool,
}

/// Finds repeated ids.
///
/// It remembers a 64-bit hash of each id, of at most [`MOST_IDS`] ids. Two ids with the same hash would be
/// reported as one repeated id, which changes only the message. Among a million ids this happens once in 37
/// million runs.
#[derive(Debug)]
pub(crate) struct DuplicateFinder {
    seen: HashSet<u64, NumberHash>,
    again: HashSet<u64, NumberHash>,
    most: usize,
    first: Option<Arc<str>>,
    at_least: bool,
}

impl Default for DuplicateFinder {
    fn default() -> Self {
        DuplicateFinder {
            seen: HashSet::default(),
            again: HashSet::default(),
            most: MOST_IDS,
            first: None,
            at_least: false,
        }
    }
}

impl DuplicateFinder {
    /// Adds the next record's id.
    pub(crate) fn add(&mut self, id: &Arc<str>) {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let hash = hasher.finish();
        let is_again = if self.seen.len() < self.most {
            !self.seen.insert(hash)
        } else {
            let is_seen = self.seen.contains(&hash);
            self.at_least |= !is_seen;
            is_seen
        };
        if is_again {
            self.again.insert(hash);
            self.first.get_or_insert_with(|| Arc::clone(id));
        }
    }

    /// Returns the repeated ids.
    pub(crate) fn repeated(&self) -> RepeatedIds {
        RepeatedIds { ids: self.again.len() as u64, first: self.first.clone(), at_least: self.at_least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(ids: &[&str], most: usize) -> RepeatedIds {
        let mut twice = DuplicateFinder { most, ..DuplicateFinder::default() };
        ids.iter().for_each(|id| twice.add(&Arc::from(*id)));
        twice.repeated()
    }

    #[test]
    fn a_repeated_id_counts_once_and_the_first_is_named() {
        let found = repeated(&["a", "b", "c", "b", "a", "b", ""], 100);
        assert_eq!((found.ids, found.first.as_deref(), found.at_least), (2, Some("b"), false));
        assert_eq!(repeated(&["a", "b"], 100), RepeatedIds::default());
    }

    #[test]
    fn the_memory_for_ids_is_bounded_and_the_bound_is_reported() {
        let found = repeated(&["a", "b", "c", "c", "a"], 2);
        assert_eq!((found.ids, found.first.as_deref(), found.at_least), (1, Some("a"), true));
    }
}
