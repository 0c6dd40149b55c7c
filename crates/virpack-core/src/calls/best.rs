//! The records that the summary of a run names.

use std::sync::Arc;

use super::judged::JudgedRecord;
use crate::verdict::Call;

/// The number of viral records that are named.
const MOST_VIRAL: usize = 5;
/// The number of uncertain records that are named.
const MOST_UNCERTAIN: usize = 3;

/// A record that the summary of a run names.
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
    /// The logit of the score, which orders them: it resolves scores near 1.
    logit: f64,
}

/// The best records so far. Of equal scores, the earlier record is better.
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
