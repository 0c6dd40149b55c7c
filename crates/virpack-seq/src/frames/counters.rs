//! Counters of a running frame loader.

use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Pair;

/// What a loader has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounters {
    /// Records read.
    pub records: u64,
    /// Bases in them.
    pub bases: u64,
    /// Bases of records whose chunks have been sent.
    pub cut: u64,
    /// Bases of all records that were read, those that wait to be cut included.
    pub read: u64,
    /// Letters among these bases that are not nucleotide codes: gaps and letters of proteins.
    pub odd_letters: u64,
    /// Records with such letters.
    pub odd_records: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Open frames of these.
    pub frames: u64,
    /// For each model, frames and chunks whose sequence was packed already.
    pub repeated: Pair<u64>,
    /// Time that the busiest of the threads that read, cut, translate, tokenize and number was at work.
    pub busy: Duration,
}

/// The same counters, shared with the thread.
#[derive(Debug, Default)]
pub(super) struct SharedCounters {
    counters: Mutex<FrameCounters>,
    first_odd: OnceLock<Arc<str>>,
}

impl SharedCounters {
    pub(super) fn snapshot(&self) -> FrameCounters {
        *self.counters.lock()
    }

    /// Counts the letters of a record that was read.
    pub(super) fn add_read(&self, letters: u64) {
        self.counters.lock().read += letters;
    }

    /// Adds the records, bases, chunks and frames of a run; `repeated` are those of all runs.
    pub(super) fn add(&self, run: &FrameCounters, repeated: Pair<u64>) {
        let mut counters = self.counters.lock();
        counters.records += run.records;
        counters.bases += run.bases;
        counters.cut += run.cut;
        counters.chunks += run.chunks;
        counters.frames += run.frames;
        counters.repeated = repeated;
    }

    /// Takes the time that one of the threads was at work so far.
    pub(super) fn add_busy(&self, busy: Duration) {
        let mut counters = self.counters.lock();
        counters.busy = counters.busy.max(busy);
    }

    /// Returns the id of the first record with a letter that is not a nucleotide code.
    pub(super) fn first_odd(&self) -> Option<Arc<str>> {
        self.first_odd.get().cloned()
    }

    /// Counts a record with such letters.
    pub(super) fn add_odd(&self, id: &Arc<str>, letters: u64) {
        self.first_odd.get_or_init(|| Arc::clone(id));
        let mut counters = self.counters.lock();
        counters.odd_letters += letters;
        counters.odd_records += 1;
    }
}
