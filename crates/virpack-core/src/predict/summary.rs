//! What a run has done.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use virpack_seq::frames::{FrameCounters, Pair};
use virpack_seq::{Input, InputChecksum, InputRemark, PackStats};

use super::earlier_counts::EarlierCounts;
use super::encoder_runner::{DeviceWork, EncoderRunner};
use super::pairing::PairingStage;
use super::tables::Tables;
use crate::calls::CallSummary;
use crate::run_json;

/// A part of the work; all go on at once.
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
    /// The stage in words.
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

/// What a run has done.
#[derive(Clone, Debug)]
pub struct PredictSummary {
    /// What was called what.
    pub calls: CallSummary,
    /// What of that an earlier run had scored.
    pub before: EarlierCounts,
    /// What was read, and what came again.
    pub frames: FrameCounters,
    /// The first record with a letter that stands for no nucleotide.
    pub first_odd: Option<Arc<str>>,
    /// How well the batches of each model were filled.
    pub packing: Pair<Option<PackStats>>,
    /// Tokens that this run has computed with each model, special ones included.
    pub tokens: Pair<u64>,
    /// Every file written, and the directory of plots.
    pub files: Vec<PathBuf>,
    /// From the first record to the last row, without loading the models.
    pub elapsed: Duration,
    /// Time that each stage was at work.
    pub(super) stages: [(Stage, Duration); 5],
    /// Each device of each model.
    pub(super) devices: Vec<DeviceWork>,
    /// The inputs, as they were named, with sizes and checksums.
    pub inputs: Vec<(Input, Option<InputChecksum>)>,
    /// What was passed over in the inputs, and which held nothing.
    pub remarks: Vec<InputRemark>,
    /// What `run.json` says.
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

    /// The times of all stages: of both models, of reading and scoring, of writing.
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

    /// The stage of the work that was longest at it, in words, and for how long. All stages work at once.
    pub fn slowest(&self) -> (&'static str, Duration) {
        let slowest = self.stages.into_iter().max_by_key(|(_, time)| *time);
        slowest.map(|(stage, time)| (stage.as_str(), time)).expect("there are stages")
    }
}
