//! The summary of a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use virpack_seq::frames::{FrameCounters, Pair};
use virpack_seq::{Input, InputChecksum, InputRemark, PackStats, grouped, shown_id};

use super::earlier_counts::EarlierCounts;
use super::encoder_runner::{DeviceWork, EncoderRunner};
use super::pairing::PairingStage;
use super::tables::Tables;
use crate::calls::CallSummary;
use crate::output::count;
use crate::run_json;

/// A stage of the work. All stages run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Reading, cutting, translating and tokenizing.
    Reading,
    /// The nucleotide model.
    Nucleotides,
    /// The protein model.
    Proteins,
    /// The classifier.
    Scoring,
    /// Writing the tables.
    Writing,
}

impl Stage {
    /// Returns the stage's name for people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Stage::Reading => "reading",
            Stage::Nucleotides => "nucleotide model",
            Stage::Proteins => "protein model",
            Stage::Scoring => "classifier",
            Stage::Writing => "writing",
        }
    }
}

/// The summary of a run.
#[derive(Clone, Debug)]
pub struct PredictSummary {
    /// Counts of the calls.
    pub calls: CallSummary,
    /// Counts of what an earlier run had scored.
    pub before: EarlierCounts,
    /// Counts of what was read, and of duplicates.
    pub frames: FrameCounters,
    /// The id of the first record with a letter that is not a nucleotide.
    pub first_odd: Option<Arc<str>>,
    /// How full the batches of each model were.
    pub(super) packing: Pair<Option<PackStats>>,
    /// Tokens that this run computed with each model, special tokens included.
    pub tokens: Pair<u64>,
    /// Every file written, and the directory of plots.
    pub files: Vec<PathBuf>,
    /// Time from the first record to the last row, without loading the models.
    pub elapsed: Duration,
    /// Time that each stage was at work.
    pub(super) stages: [(Stage, Duration); 5],
    /// Each device of each model.
    pub(super) devices: Vec<DeviceWork>,
    /// The inputs as the user named them, with sizes and checksums.
    pub(super) inputs: Vec<(Input, Option<InputChecksum>)>,
    /// What was skipped in the inputs, and which inputs were empty.
    pub remarks: Vec<InputRemark>,
    /// The contents of `run.json`.
    pub report: Map<String, Value>,
}

impl PredictSummary {
    pub(super) fn new(
        pairing: &PairingStage,
        tables: &Tables<'_>,
        writing: Duration,
        elapsed: Duration,
    ) -> Self {
        let loader = pairing.loader();
        let frames = loader.counters();
        let busy = pairing
            .runners()
            .as_ref()
            .map(|runner| runner.as_ref().map_or(Duration::ZERO, EncoderRunner::busy));
        let inputs = loader.inputs();
        PredictSummary {
            calls: tables.calls.summary(),
            before: pairing.before(),
            frames,
            first_odd: loader.first_odd(),
            packing: loader.batches().as_ref().map(|batches| batches.as_ref()?.stats()),
            tokens: pairing.tokens(),
            files: tables.names(),
            elapsed,
            stages: PredictSummary::stages_of(busy, [frames.busy, pairing.scoring()], writing),
            devices: pairing.runners().present().flat_map(EncoderRunner::devices).collect(),
            inputs: run_json::read(inputs, loader.progress()),
            remarks: loader.progress().remarks_on(inputs),
            report: Map::new(),
        }
    }

    /// Returns the sentence about letters that are not those of nucleotides, which names the first record
    /// with one; None if there is none.
    #[must_use]
    pub fn odd_letters(&self) -> Option<String> {
        let first = shown_id(self.first_odd.as_ref()?);
        let FrameCounters { bases, odd_letters, odd_records, .. } = self.frames;
        Some(format!(
            "{} of {} letters stand for no nucleotide (gaps and letters of residues), in {}, the first is \
             {first}",
            grouped(odd_letters),
            grouped(bases),
            count(odd_records, ["record", "records"]),
        ))
    }

    /// Returns the times of all stages: reading, both models, scoring and writing.
    pub(super) fn stages_of(
        busy: Pair<Duration>,
        [reading, scoring]: [Duration; 2],
        writing: Duration,
    ) -> [(Stage, Duration); 5] {
        [
            (Stage::Reading, reading),
            (Stage::Nucleotides, busy.nucleotide),
            (Stage::Proteins, busy.protein),
            (Stage::Scoring, scoring),
            (Stage::Writing, writing),
        ]
    }
}
