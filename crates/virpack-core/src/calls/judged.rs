//! A record with everything that is derived from its chunks.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use virpack_seq::{Record, escaped};

use super::chunk::{ChunkTally, ScoredChunk, Status};
use super::options::CallOptions;
use super::score_text::decimal;
use super::scores::Scores;
use super::scoring::RecordScoring;
use crate::verdict::{Call, ChunkEvidence, Evidence, RecordScore, Region, RegionKind, Segments, segments};

/// The facts of a record beside its letters.
#[derive(Clone, Debug)]
pub(crate) struct RecordFacts {
    /// Its place over all inputs, from 0: its row in `sequences.tsv`.
    pub(crate) index: u64,
    /// The id as tables have it, with control characters escaped.
    pub(crate) id: Arc<str>,
    /// The rest of its header, escaped in the same way.
    pub(crate) description: String,
    /// The number of its input, from 0.
    pub(crate) source: u32,
    /// Its bases.
    pub(crate) length: usize,
    /// Whether it was left out because it is shorter than the requested minimum.
    pub(crate) is_left_out: bool,
}

impl RecordFacts {
    /// Returns the facts of a record in a run that leaves out records shorter than `min_length`.
    pub(crate) fn of(record: &Record, min_length: usize) -> Self {
        RecordFacts {
            index: record.index,
            id: match escaped(&record.id) {
                Cow::Borrowed(_) => Arc::clone(&record.id),
                Cow::Owned(id) => id.into(),
            },
            description: escaped(&record.description).into_owned(),
            source: record.source,
            length: record.sequence.len(),
            is_left_out: record.sequence.len() < min_length,
        }
    }
}

/// A record with everything that is derived from its chunks.
#[derive(Clone, Debug)]
pub(crate) struct JudgedRecord {
    pub(crate) facts: RecordFacts,
    /// All its chunks, in order.
    pub(crate) chunks: Vec<ScoredChunk>,
    pub(crate) tally: ChunkTally,
    pub(crate) status: Status,
    /// Its score. None, as for the fields below, if no chunk has a verdict.
    pub(crate) score: Option<RecordScore>,
    pub(crate) call: Option<Call>,
    /// Its false discovery rate. None also if the model has no calibration for such chunks.
    pub(crate) fdr: Option<f64>,
    /// Its regions, the highest score first; none in a record of one chunk.
    pub(crate) regions: Vec<Region>,
    /// The probability that each chunk is viral, given all chunks; empty in a record of one chunk.
    pub(crate) posterior: Vec<f32>,
}

/// Judges a record by all its chunks.
pub(crate) fn judge(
    facts: RecordFacts,
    chunks: Vec<ScoredChunk>,
    options: &CallOptions,
    scoring: &RecordScoring,
) -> JudgedRecord {
    let mut tally = ChunkTally::default();
    chunks.iter().for_each(|chunk| tally.add(chunk, options));
    let evidence: Evidence = chunks.iter().map(|chunk| chunk.highest().map(Scores::both)).collect();
    let status = if facts.is_left_out { Status::BelowMinLength } else { tally.status(facts.length) };
    let score = scoring.score(&evidence);
    let call = score.map(|score| options.thresholds.call(as_written(score.score)));
    let fdr = score.and_then(|score| scoring.fdr(&score, options.prevalence));
    let Segments { regions, posterior } = match call {
        Some(call) if chunks.len() > 1 => regions(&chunks, call, scoring),
        _ => Segments::default(),
    };
    JudgedRecord { facts, chunks, tally, status, score, call, fdr, regions, posterior }
}

/// Returns a score as tables have it, so that a call can be derived from the tables.
fn as_written(score: f64) -> f64 {
    decimal(Some(score)).parse().unwrap_or(score)
}

/// Finds the viral regions of a viral record, and candidate proviruses in any other.
fn regions(chunks: &[ScoredChunk], call: Call, scoring: &RecordScoring) -> Segments {
    let kind = if call == Call::Viral { RegionKind::Viral } else { RegionKind::Provirus };
    let evidence = |chunk: &ScoredChunk| ChunkEvidence::new(&chunk.bases, chunk.highest().map(Scores::both));
    let evidence: Vec<_> = chunks.iter().map(evidence).collect();
    segments(&evidence, kind, &scoring.segments())
}

impl JudgedRecord {
    /// Returns its `virus_score` as tables have it.
    pub(super) fn written_score(&self) -> Option<f64> {
        self.score.map(|score| as_written(score.score))
    }

    /// Returns the chunks of a region.
    pub(super) fn chunks_of(&self, region: &Region) -> &[ScoredChunk] {
        let first = self.chunks.partition_point(|chunk| chunk.bases.start < region.bases.start);
        let behind = self.chunks.partition_point(|chunk| chunk.bases.end <= region.bases.end);
        &self.chunks[first..behind]
    }

    /// Returns whether the files of sequences have the same of it as of `other`, the same record by other
    /// calls.
    pub(crate) fn has_sequences_of(&self, other: &JudgedRecord) -> bool {
        let is_viral = |record: &JudgedRecord| record.call == Some(Call::Viral);
        let [own, others] = [self, other].map(|record| record.proviruses().map(|region| &region.bases));
        is_viral(self) == is_viral(other) && own.eq(others)
    }

    /// Iterates over its candidate proviruses, the highest score first.
    pub(super) fn proviruses(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(|region| region.kind == RegionKind::Provirus)
    }
}

/// Returns the name of a candidate provirus: `id|provirus_start_end`, with bases from 1.
pub(super) fn provirus_name(id: &str, bases: &Range<usize>) -> String {
    format!("{id}|provirus_{}_{}", bases.start + 1, bases.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::CallThresholds;

    fn facts(length: usize, is_left_out: bool) -> RecordFacts {
        RecordFacts { index: 3, id: "r".into(), description: String::new(), source: 0, length, is_left_out }
    }

    /// Chunks of 500 bases with these scores of *virus*, or without a score.
    fn chunks(scores: &[Option<f32>]) -> Vec<ScoredChunk> {
        let chunk = |(i, score): (usize, &Option<f32>)| ScoredChunk {
            bases: 500 * i..500 * i + 500,
            frames: Vec::new(),
            whole: score.map(|virus| Scores { other: 1.0 - virus, virus }),
        };
        scores.iter().enumerate().map(chunk).collect()
    }

    fn judged(scores: &[Option<f32>], options: &CallOptions) -> JudgedRecord {
        let scoring = RecordScoring::new(None, 500);
        judge(facts(500 * scores.len(), false), chunks(scores), options, &scoring)
    }

    #[test]
    fn without_a_verdict_there_is_no_score_no_call_and_no_region() {
        for scores in [&[][..], &[None], &[None, None, None]] {
            let record = judged(scores, &CallOptions::default());
            assert_eq!((record.score, record.call, record.fdr), (None, None, None));
            assert!(record.regions.is_empty());
        }
        let left_out =
            judge(facts(900, true), Vec::new(), &CallOptions::default(), &RecordScoring::new(None, 500));
        assert_eq!((left_out.status, left_out.call), (Status::BelowMinLength, None));
    }

    #[test]
    fn a_call_follows_from_the_score_and_the_thresholds() {
        let call = |virus, thresholds| {
            let record = judged(&[Some(virus); 4], &CallOptions::default().thresholds(thresholds));
            (record.call.unwrap(), (record.score.unwrap().score - f64::from(virus)).abs() < 1e-6)
        };
        assert_eq!(call(0.8, CallThresholds::DEFAULT), (Call::Viral, true));
        assert_eq!(call(0.8, CallThresholds::STRICT), (Call::Uncertain, true));
        assert_eq!(call(0.6, CallThresholds::RELAXED), (Call::Viral, true));
        assert_eq!(call(0.2, CallThresholds::RELAXED), (Call::Cellular, true));
    }

    #[test]
    fn a_call_is_made_on_the_score_that_tables_have() {
        for (virus, written, call) in
            [(0.699_96, "0.7000", Call::Viral), (0.699_94, "0.6999", Call::Uncertain)]
        {
            let record = judged(&[Some(virus)], &CallOptions::default());
            assert_eq!(decimal(record.score.map(|score| score.score)), written);
            assert_eq!(record.call, Some(call));
        }
    }

    #[test]
    fn a_stretch_of_viral_chunks_in_a_cellular_record_is_a_candidate_provirus() {
        let mut scores = vec![Some(0.05); 400];
        scores[100..140].fill(Some(0.97));
        scores[120] = None;
        let record = judged(&scores, &CallOptions::default());
        assert_eq!(record.call, Some(Call::Cellular));
        assert_eq!(record.regions.len(), 1);
        let region = &record.regions[0];
        assert_eq!((region.bases.clone(), region.kind), (50_000..70_000, RegionKind::Provirus));
        assert_eq!(record.chunks_of(region).len(), 40);
        assert_eq!(provirus_name(&record.facts.id, &region.bases), "r|provirus_50001_70000");
        assert_eq!(record.proviruses().count(), 1);
        let viral = judged(&[Some(0.9); 20], &CallOptions::default());
        assert_eq!((viral.regions[0].kind, viral.regions[0].bases.clone()), (RegionKind::Viral, 0..10_000));
        assert_eq!(viral.proviruses().count(), 0);
    }
}
