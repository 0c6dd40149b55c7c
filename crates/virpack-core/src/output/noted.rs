//! What a user should know of a run's records: how many of them, and which is the first.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Row;
use super::number_hash::NumberHash;

/// Most ids that are remembered: as many as 75 MB of memory hold.
const MOST_IDS: usize = 7 << 20;

/// Records that have something in common, such as unknown letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotedRecords {
    /// How many records.
    pub records: u64,
    /// How many letters of them all.
    pub letters: u64,
    /// The id of the first one.
    pub first: Option<Arc<str>>,
}

impl NotedRecords {
    /// Takes a record with so many of the letters; none, and it is not counted.
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
    /// How many ids.
    pub ids: u64,
    /// The first id that came again.
    pub first: Option<Arc<str>>,
    /// Whether there were more ids than are remembered: then there may be others that came again.
    pub at_least: bool,
}

/// Finds ids that come again.
///
/// It remembers a 64-bit hash of each id, and no more than [`MOST_IDS`] of them. Two ids of one hash would be told as one that
/// came twice, which changes the message and nothing else: among a million ids that happens once in 37 million runs.
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
    /// Takes the next record's id.
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

    /// What came again.
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
    fn an_id_that_comes_again_counts_once_and_the_first_is_named() {
        let found = repeated(&["a", "b", "c", "b", "a", "b", ""], 100);
        assert_eq!((found.ids, found.first.as_deref(), found.at_least), (2, Some("b"), false));
        assert_eq!(repeated(&["a", "b"], 100), RepeatedIds::default());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_that_is_said() {
        let found = repeated(&["a", "b", "c", "c", "a"], 2);
        assert_eq!((found.ids, found.first.as_deref(), found.at_least), (1, Some("a"), true));
    }
}
