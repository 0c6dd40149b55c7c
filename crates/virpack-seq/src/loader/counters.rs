//! What a loader counts while it runs.

use std::time::Duration;

use crate::slab::{LengthCounts, TokenSlab};

/// What a loader has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoaderCounters {
    /// Records tokenized, and how many of them were cut or skipped.
    pub lengths: LengthCounts,
    /// Sequences handed to the collator.
    pub sequences: u64,
    /// Tokens handed to the collator, special tokens included.
    pub tokens: u64,
    /// Batches put into the queue.
    pub batches: u64,
    /// Tokens of batches that were done before and were not put there.
    pub tokens_done: u64,
    /// How long consumers waited for data, all of them together.
    pub consumer_wait: Duration,
    /// How long the loader waited for consumers to make room in the queue.
    pub loader_wait: Duration,
}

impl LoaderCounters {
    /// Adds the counts of a slab. A slab is added at once, so that no counter is updated for each record.
    pub(super) fn add_slab(&mut self, slab: &TokenSlab) {
        self.lengths += slab.counts;
        self.sequences += slab.len() as u64;
        self.tokens += slab.total_tokens() as u64;
    }
}
