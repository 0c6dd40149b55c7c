//! What a frame loader counts while it runs.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::Pair;
use crate::relock::Relock;

/// What a loader has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounters {
    /// Records read.
    pub records: u64,
    /// Bases in them.
    pub bases: u64,
    /// Those of them whose chunks are on their way.
    pub cut: u64,
    /// Bases in all records that are read, those included that wait to be cut.
    pub read: u64,
    /// Those of the bases that no code for nucleotides stands for: gaps and letters of residues.
    pub odd_letters: u64,
    /// Records that hold some of these.
    pub odd_records: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Open frames of these.
    pub frames: u64,
    /// For each model, frames and chunks whose sequence was packed already.
    pub repeated: Pair<u64>,
    /// Time spent reading, cutting, translating and tokenizing.
    pub busy: Duration,
}

/// The same, shared with the thread.
#[derive(Debug, Default)]
pub(super) struct SharedCounters {
    counters: Mutex<FrameCounters>,
    first_odd: OnceLock<Arc<str>>,
}

impl SharedCounters {
    pub(super) fn snapshot(&self) -> FrameCounters {
        *self.counters.relock()
    }

    pub(super) fn update(&self, update: impl FnOnce(&mut FrameCounters)) {
        update(&mut self.counters.relock());
    }

    /// The id of the first record with a letter that stands for no nucleotide.
    pub(super) fn first_odd(&self) -> Option<Arc<str>> {
        self.first_odd.get().cloned()
    }

    /// Counts a record with such letters.
    pub(super) fn add_odd(&self, id: &Arc<str>, letters: u64) {
        self.first_odd.get_or_init(|| Arc::clone(id));
        self.update(|counters| {
            counters.odd_letters += letters;
            counters.odd_records += 1;
        });
    }
}
