//! What a run has done.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use virpack_seq::frames::{Chunk, FrameCounters};
use virpack_seq::{Input, InputChecksum, InputRemark, PackStats};

use super::join::{Join, RunningTower};
use super::tables::Tables;
use super::verdict::{ChunkTally, Status};
use crate::output::RepeatedIds;
use crate::report;
use crate::runner::DeviceTally;

/// What the models are called, the nucleotides' first.
pub(super) const MODELS: [&str; 2] = ["nucleotide", "protein"];

/// Records, chunks and frames, counted as they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records, each with its row.
    pub records: u64,
    /// Bases in them.
    pub bases: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Chunks with a verdict.
    pub chunks_classified: u64,
    /// Those of them that have it by their nucleotides alone.
    pub chunks_by_nucleotides: u64,
    /// Viral chunks.
    pub chunks_viral: u64,
    /// Open frames.
    pub frames: u64,
    /// Runs of viral chunks in records of several.
    pub regions: u64,
    /// Viral records.
    pub viral: u64,
    /// Records without a verdict, because no frame of theirs is open, or none of their codons can be read.
    pub no_open_frame: u64,
    /// Records without a verdict, because they are shorter than a codon.
    pub too_short: u64,
    /// Records without a letter.
    pub empty: u64,
}

impl Counts {
    pub(super) fn add(&mut self, tally: &ChunkTally, status: Status, viral: Option<bool>, bases: usize) {
        self.records += 1;
        self.bases += bases as u64;
        self.chunks += tally.chunks;
        self.chunks_classified += tally.classified;
        self.chunks_by_nucleotides += tally.by_nucleotides;
        self.chunks_viral += tally.viral;
        self.viral += u64::from(viral == Some(true));
        self.no_open_frame += u64::from(status == Status::NoOpenFrame);
        self.too_short += u64::from(status == Status::TooShort);
        self.empty += u64::from(status == Status::Empty);
    }

    /// Records without a verdict.
    pub fn without_verdict(&self) -> u64 {
        self.no_open_frame + self.too_short + self.empty
    }
}

/// What an earlier run had scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Records of which it had scored every chunk that can be.
    pub records: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bases in these, those counted twice that two of them share.
    pub bases: u64,
    /// Open frames of these.
    pub frames: u64,
}

impl Before {
    pub(super) fn add(&mut self, chunk: &Chunk) {
        self.chunks += 1;
        self.bases += chunk.bases.len() as u64;
        self.frames += chunk.frames.len() as u64;
    }
}

/// A part of the work; all go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Reading, cutting, translating and tokenizing.
    Reading,
    /// The model of the nucleotides.
    Nucleotides,
    /// The model of the peptides.
    Peptides,
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
            Stage::Peptides => "protein model",
            Stage::Scoring => "classifier",
            Stage::Writing => "writing",
        }
    }
}

/// What a device has done for one of the models.
#[derive(Clone, Debug)]
pub(super) struct DeviceWork {
    /// The model.
    pub(super) model: &'static str,
    /// The device, for people.
    pub(super) name: String,
    /// Most tokens in a batch.
    pub(super) token_budget: usize,
    /// What it has done.
    pub(super) tally: DeviceTally,
    /// What its bits depend on beside records, weights and precision, a line each.
    pub(super) computed_by: Vec<String>,
}

/// What a run has done.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// Records, chunks and frames.
    pub counts: Counts,
    /// What of that an earlier run had scored.
    pub before: Before,
    /// Ids that more than one record has: each record has rows of its own, in input order.
    pub repeated: RepeatedIds,
    /// The ids of the first viral records.
    pub first_viral: Vec<Arc<str>>,
    /// What was read, and what came again.
    pub frames: FrameCounters,
    /// The first record with a letter that stands for no nucleotide.
    pub first_odd: Option<Arc<str>>,
    /// How well the batches of each model were filled, the nucleotides' first.
    pub packing: [Option<PackStats>; 2],
    /// Tokens that this run has computed with each model, special ones included.
    pub tokens: [u64; 2],
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

impl Predicted {
    pub(super) fn new(join: &Join<'_>, tables: &Tables<'_>, writing: Duration, elapsed: Duration) -> Self {
        let loader = join.frames();
        let frames = loader.counters();
        let [nucleotides, peptides] = join.busy();
        let inputs = loader.inputs();
        Predicted {
            counts: tables.counts,
            before: join.before(),
            repeated: tables.repeated(),
            first_viral: tables.first_viral.clone(),
            frames,
            first_odd: loader.first_odd(),
            packing: [0, 1].map(|i| loader.batches(i).and_then(|tower| tower.stats())),
            tokens: [0, 1].map(|i| join.tokens(i)),
            files: tables.names(),
            elapsed,
            stages: [
                (Stage::Reading, frames.busy),
                (Stage::Nucleotides, nucleotides),
                (Stage::Peptides, peptides),
                (Stage::Scoring, join.scoring()),
                (Stage::Writing, writing),
            ],
            devices: join.running().flat_map(|(i, tower)| devices(MODELS[i], tower)).collect(),
            inputs: report::read(inputs, loader.progress()),
            remarks: loader.progress().remarks_on(inputs),
            report: Map::new(),
        }
    }

    /// The stage of the work that was longest at it, in words, and for how long. All stages work at once.
    pub fn slowest(&self) -> (&'static str, Duration) {
        let slowest = self.stages.into_iter().max_by_key(|(_, time)| *time);
        slowest.map(|(stage, time)| (stage.as_str(), time)).expect("there are stages")
    }
}

fn devices(model: &'static str, tower: &RunningTower) -> impl Iterator<Item = DeviceWork> {
    let done = tower.runner.tallies().into_iter().zip(tower.runner.computed_by());
    let token_budget = tower.token_budget;
    let work =
        move |(name, (tally, computed_by))| DeviceWork { model, name, token_budget, tally, computed_by };
    tower.names.iter().cloned().zip(done).map(work)
}
