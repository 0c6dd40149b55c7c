//! The summary of a run's calls.

use serde_json::{Map, Value, json};

use super::best::NotedRecord;
use super::counts::{Counts, RecordCount};
use crate::output::RepeatedIds;

/// The summary of a run's calls.
#[derive(Clone, Debug)]
pub struct CallSummary {
    /// Records, chunks and frames.
    pub counts: Counts,
    /// Ids that occur in more than one record. Each of these records has its own rows, in input order.
    pub repeated: RepeatedIds,
    /// The viral records with the highest scores, the best first.
    pub best_viral: Vec<NotedRecord>,
    /// The uncertain records closest to viral, the best first.
    pub best_uncertain: Vec<NotedRecord>,
}

impl CallSummary {
    /// Adds the counts to those of `run.json`.
    pub(crate) fn tell(&self, counts: &mut Map<String, Value>) {
        let records = |count: RecordCount| json!({ "records": count.records, "bases": count.bases });
        let own = &self.counts;
        let all = [
            ("records", own.records.into()),
            ("bases", own.bases.into()),
            ("chunks", own.chunks.into()),
            ("chunks_classified", own.chunks_classified.into()),
            ("chunks_by_nucleotides", own.chunks_by_nucleotides.into()),
            ("chunks_viral", own.chunks_viral.into()),
            ("frames", own.frames.into()),
            ("proviruses", own.proviruses.into()),
            ("viral_regions", own.viral_regions.into()),
            ("viral", records(own.viral)),
            ("uncertain", records(own.uncertain)),
            ("cellular", records(own.cellular)),
            ("not_judged", records(own.not_judged)),
            ("no_open_frame", own.no_open_frame.into()),
            ("too_short", own.too_short.into()),
            ("empty", own.empty.into()),
            ("below_min_length", own.below_min_length.records.into()),
            ("repeated_ids", self.repeated.ids.into()),
        ];
        counts.extend(all.map(|(name, value)| (name.to_owned(), value)));
    }
}
