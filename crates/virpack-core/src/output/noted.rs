//! Facts that a user should know about a run's records, and the sentences about them: how many records, and
//! the first of them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use virpack_seq::{grouped, shown_id};

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

/// What is unusual about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Only its beginning was embedded.
    Truncated,
    /// It has letters that the model does not know.
    Unknown,
    /// It has gap characters.
    Gaps,
}

impl Note {
    /// Returns the number of such letters in a record; 1 for a truncated one.
    fn letters(self, row: &Row) -> u64 {
        match self {
            Note::Truncated => row.truncated.into(),
            Note::Unknown => row.unknown.into(),
            Note::Gaps => row.gaps.into(),
        }
    }
}

impl NotedRecords {
    /// Returns those of `rows` that have the property.
    ///
    /// ```
    /// use virpack_core::output::{Note, NotedRecords, Row};
    ///
    /// let row = |id: &str, gaps| {
    ///     Row { record: 0, source: 0, id: id.into(), length: 9, truncated: false, unknown: 0, gaps }
    /// };
    /// let noted = NotedRecords::among(&[row("a", 0), row("b", 2)], Note::Gaps);
    /// assert_eq!((noted.records, noted.letters, noted.first.as_deref()), (1, 2, Some("b")));
    /// ```
    #[must_use]
    pub fn among(rows: &[Row], note: Note) -> Self {
        let mut noted = NotedRecords::default();
        rows.iter().for_each(|row| noted.add(row, note));
        noted
    }

    /// Adds a record, if it has the property.
    pub(super) fn add(&mut self, row: &Row, note: Note) {
        let letters = note.letters(row);
        if letters > 0 {
            self.records += 1;
            self.letters += letters;
            self.first.get_or_insert_with(|| Arc::clone(&row.id));
        }
    }

    /// Returns the sentence about records with this property, which names the first; None if there is none.
    /// `max_length` is the most letters of a record that are embedded, if it is known.
    ///
    /// ```
    /// use virpack_core::output::{Note, NotedRecords};
    ///
    /// let noted = NotedRecords { records: 2, letters: 5, first: Some("b".into()) };
    /// let sentence = noted.sentence(Note::Gaps, None).unwrap();
    /// assert_eq!(sentence, "2 records have 5 gap characters (- or .), the first is b");
    /// let sentence = noted.sentence(Note::Truncated, Some(1022)).unwrap();
    /// assert_eq!(sentence, "2 records are truncated to 1,022 letters, the first is b");
    /// ```
    #[must_use]
    pub fn sentence(&self, note: Note, max_length: Option<usize>) -> Option<String> {
        let first = shown_id(self.first.as_ref()?);
        let verb = match note {
            Note::Truncated => ["record is", "records are"],
            Note::Unknown | Note::Gaps => ["record has", "records have"],
        };
        let what = match note {
            Note::Truncated => match max_length {
                Some(most) => format!("truncated to {}", count(most as u64, ["letter", "letters"])),
                None => "truncated".to_owned(),
            },
            Note::Unknown => {
                format!("{} that the model does not know", count(self.letters, ["letter", "letters"]))
            }
            Note::Gaps => {
                format!("{} (- or .)", count(self.letters, ["gap character", "gap characters"]))
            }
        };
        Some(format!("{} {what}, the first is {first}", count(self.records, verb)))
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

impl RepeatedIds {
    /// Returns the ids that more than one of `rows` has.
    ///
    /// ```
    /// use virpack_core::output::{RepeatedIds, Row};
    ///
    /// let row = |id: &str| {
    ///     Row { record: 0, source: 0, id: id.into(), length: 9, truncated: false, unknown: 0, gaps: 0 }
    /// };
    /// assert_eq!(RepeatedIds::among(&[row("a"), row("b"), row("a")]).ids, 1);
    /// ```
    #[must_use]
    pub fn among(rows: &[Row]) -> Self {
        let mut finder = DuplicateFinder::default();
        rows.iter().for_each(|row| finder.add(&row.id));
        finder.repeated()
    }

    /// Returns the sentence about the ids, which names the first; None if there is none.
    ///
    /// ```
    /// use virpack_core::output::RepeatedIds;
    ///
    /// let twice = RepeatedIds { ids: 1, first: Some("a".into()), at_least: false };
    /// assert!(twice.sentence().unwrap().starts_with("1 id comes more than once, the first is a: "));
    /// ```
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let first = shown_id(self.first.as_ref()?);
        let at_least = if self.at_least { "at least " } else { "" };
        let ids = count(self.ids, ["id comes", "ids come"]);
        Some(format!(
            "{at_least}{ids} more than once, the first is {first}: each record has its own rows, in input \
             order"
        ))
    }
}

/// Returns a number with its noun.
pub(crate) fn count(number: u64, [one, many]: [&str; 2]) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
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
