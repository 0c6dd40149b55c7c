//! What a loader counts while it runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::slab::LengthCounts;

/// What a loader has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoaderCounters {
    /// Records tokenized and what became of them.
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

/// The same, shared with the threads. Sums of a slab are added at once, so that records cost nothing.
#[derive(Debug, Default)]
pub(super) struct Counters {
    records: AtomicU64,
    truncated: AtomicU64,
    windowed: AtomicU64,
    windows: AtomicU64,
    too_long: AtomicU64,
    too_short: AtomicU64,
    empty: AtomicU64,
    unknown: AtomicU64,
    gaps: AtomicU64,
    sequences: AtomicU64,
    tokens: AtomicU64,
    batches: AtomicU64,
    tokens_done: AtomicU64,
    consumer_wait: AtomicU64,
    loader_wait: AtomicU64,
}

impl Counters {
    pub(super) fn add_slab(&self, counts: &LengthCounts, sequences: u64, tokens: u64) {
        for (counter, count) in [
            (&self.records, counts.records),
            (&self.truncated, counts.truncated),
            (&self.windowed, counts.windowed),
            (&self.windows, counts.windows),
            (&self.too_long, counts.too_long),
            (&self.too_short, counts.too_short),
            (&self.empty, counts.empty),
            (&self.unknown, counts.unknown),
            (&self.gaps, counts.gaps),
            (&self.sequences, sequences),
            (&self.tokens, tokens),
        ] {
            counter.fetch_add(count, Relaxed);
        }
    }

    pub(super) fn add_batch(&self) {
        self.batches.fetch_add(1, Relaxed);
    }

    pub(super) fn add_done(&self, tokens: u64) {
        self.tokens_done.fetch_add(tokens, Relaxed);
    }

    pub(super) fn add_consumer_wait(&self, wait: Duration) {
        self.consumer_wait.fetch_add(wait.as_nanos() as u64, Relaxed);
    }

    pub(super) fn add_loader_wait(&self, wait: Duration) {
        self.loader_wait.fetch_add(wait.as_nanos() as u64, Relaxed);
    }

    pub(super) fn snapshot(&self) -> LoaderCounters {
        LoaderCounters {
            lengths: LengthCounts {
                records: self.records.load(Relaxed),
                truncated: self.truncated.load(Relaxed),
                windowed: self.windowed.load(Relaxed),
                windows: self.windows.load(Relaxed),
                too_long: self.too_long.load(Relaxed),
                too_short: self.too_short.load(Relaxed),
                empty: self.empty.load(Relaxed),
                unknown: self.unknown.load(Relaxed),
                gaps: self.gaps.load(Relaxed),
            },
            sequences: self.sequences.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
            batches: self.batches.load(Relaxed),
            tokens_done: self.tokens_done.load(Relaxed),
            consumer_wait: Duration::from_nanos(self.consumer_wait.load(Relaxed)),
            loader_wait: Duration::from_nanos(self.loader_wait.load(Relaxed)),
        }
    }
}
