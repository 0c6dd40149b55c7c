//! Records, chunks and frames, counted.

use virpack_seq::frames::Chunk;

use super::verdict::{ChunkTally, Status};

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
    /// Records without a verdict, because none of their frames is open, or none of their codons can be read.
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
pub struct EarlierCounts {
    /// Records of which it had scored every chunk that can be.
    pub records: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bases in these, those counted twice that two of them share.
    pub bases: u64,
    /// Open frames of these.
    pub frames: u64,
}

impl EarlierCounts {
    pub(super) fn add(&mut self, chunk: &Chunk) {
        self.chunks += 1;
        self.bases += chunk.bases.len() as u64;
        self.frames += chunk.frames.len() as u64;
    }
}
