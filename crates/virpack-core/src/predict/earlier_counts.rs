//! Counts of what an earlier run had scored.

use virpack_seq::frames::Chunk;

/// Counts of what an earlier run had scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarlierCounts {
    /// Records of which every chunk that can be scored was scored.
    pub(super) records: u64,
    /// Chunks that were scored.
    pub chunks: u64,
    /// Bases in these chunks; bases that two chunks share count twice.
    pub bases: u64,
    /// Open frames in these chunks.
    pub(super) frames: u64,
}

impl EarlierCounts {
    pub(super) fn add(&mut self, chunk: &Chunk) {
        self.chunks += 1;
        self.bases += chunk.bases.len() as u64;
        self.frames += chunk.frames.len() as u64;
    }
}
