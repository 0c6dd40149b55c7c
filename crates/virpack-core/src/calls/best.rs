//! The records that a run names at its end.

use std::sync::Arc;

use super::judged::JudgedRecord;
use crate::verdict::Call;

/// Viral records that are named.
const MOST_VIRAL: usize = 5;
/// Uncertain records that are named.
const MOST_UNCERTAIN: usize = 3;

/// A record that a run names.
#[derive(Clone, Debug, PartialEq)]
pub struct NotedRecord {
    /// Its id.
    pub id: Arc<str>,
    /// Its bases.
    pub length: usize,
    /// Its chunks.
    pub chunks: u64,
    /// Its `virus_score`.
    pub score: f64,
    /// What orders them: scores near 1 differ in it.
    logit: f64,
}

/// The best records so far, of those that came first where scores are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct BestRecords {
    pub(crate) viral: Vec<NotedRecord>,
    pub(crate) uncertain: Vec<NotedRecord>,
}

impl BestRecords {
    pub(super) fn add(&mut self, record: &JudgedRecord) {
        let Some(score) = record.score else { return };
        let (list, most) = match record.call {
            Some(Call::Viral) => (&mut self.viral, MOST_VIRAL),
            Some(Call::Uncertain) => (&mut self.uncertain, MOST_UNCERTAIN),
            _ => return,
        };
        let place = list.partition_point(|other| other.logit >= score.logit);
        if place == most {
            return;
        }
        let (id, chunks) = (Arc::clone(&record.facts.id), record.tally.chunks);
        let noted =
            NotedRecord { id, length: record.facts.length, chunks, score: score.score, logit: score.logit };
        list.insert(place, noted);
        list.truncate(most);
    }
}
