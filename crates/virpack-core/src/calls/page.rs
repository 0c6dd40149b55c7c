//! Builds the page of a run, `report.html`, from its judged records.

use serde_json::{Map, Value};

use super::chunk::{ScoredChunk, ScoredFrame};
use super::judged::JudgedRecord;
use super::options::CallOptions;
use super::scores::Scores;
use super::scoring::RecordScoring;
use crate::html::{
    HtmlError, Page, PageBuilder, PageChunk, PageFrame, PageOptions, PageRecord, PageRegion, Rates, Summary,
};
use crate::verdict::{Call, Region};

/// The page of a run in progress.
pub(super) struct CallPage {
    builder: PageBuilder,
    scoring: RecordScoring,
    /// The weight of each knot of the calibration, over all judged records.
    knots: Vec<f64>,
}

impl CallPage {
    pub(super) fn new(options: &CallOptions, scoring: &RecordScoring) -> Self {
        let thresholds = options.thresholds;
        let mut page = PageOptions::new(thresholds.viral(), thresholds.cellular());
        page.prevalence = scoring.calibration().map(|_| options.prevalence.share());
        CallPage { builder: PageBuilder::new(page), scoring: scoring.clone(), knots: Vec::new() }
    }

    /// Adds the next record, with the name of its input if there are several.
    pub(super) fn add(&mut self, record: &JudgedRecord, source: Option<&str>) {
        if let Some(score) = record.score {
            self.scoring.add_knots(&score, &mut self.knots);
        }
        let frames: Vec<Vec<PageFrame>> = match record.call {
            // The page draws the frames of these records only.
            Some(Call::Viral | Call::Uncertain) => record.chunks.iter().map(frames).collect(),
            _ => Vec::new(),
        };
        let chunk = |(i, own): (usize, &ScoredChunk)| PageChunk {
            bases: own.bases.start as u64..own.bases.end as u64,
            scores: own.highest().map(Scores::both),
            posterior: record.posterior.get(i).copied(),
            frames: frames.get(i).map_or(&[], Vec::as_slice),
        };
        let chunks: Vec<_> = record.chunks.iter().enumerate().map(chunk).collect();
        let region = |region: &Region| PageRegion {
            bases: region.bases.start as u64..region.bases.end as u64,
            kind: region.kind,
            score: region.score,
        };
        let regions: Vec<_> = record.regions.iter().map(region).collect();
        self.builder.add(&PageRecord {
            id: &record.facts.id,
            description: &record.facts.description,
            source,
            length: record.facts.length as u64,
            call: record.call,
            status: record.status.as_str(),
            score: record.written_score(),
            fdr: record.fdr,
            chunks: &chunks,
            chunks_classified: record.tally.classified,
            chunks_viral: record.tally.viral,
            by_nucleotides: record.tally.by_nucleotides,
            regions: &regions,
        });
    }

    /// Returns the counts of the records so far, and the best record.
    pub(super) fn summary(&self) -> Summary {
        self.builder.summary()
    }

    /// Completes the page of the run that `run` describes.
    pub(super) fn finish(self, run: &Map<String, Value>) -> Result<Page, HtmlError> {
        let CallPage { builder, scoring, knots } = self;
        let judged: f64 = knots.iter().sum();
        let weights: Vec<f64> = knots.iter().map(|knot| knot / judged).collect();
        let rates = (!weights.is_empty()).then(|| {
            Rates::new(|least| {
                let [viral, cellular] = scoring.shares(least, &weights);
                (cellular, viral)
            })
        });
        builder.finish(run, rates.as_ref())
    }
}

fn frames(chunk: &ScoredChunk) -> Vec<PageFrame> {
    let frame = |own: &ScoredFrame| PageFrame {
        frame: own.frame as u8,
        bases: own.codons.start as u64..own.codons.end as u64,
        score: own.scores.virus,
    };
    chunk.frames.iter().map(frame).collect()
}
