//! What an earlier run had scored, counted.

use virpack_seq::frames::Chunk;

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
