//! What the time of the CPU's work went to.

use crate::Work;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A kind of work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Products,
    Attention,
    Rest,
}

/// Nanoseconds of each kind of work so far. Models that share a backend share its clock.
#[derive(Debug, Default)]
pub(crate) struct Clock([AtomicU64; 3]);

impl Clock {
    /// Does some work, for all of whose time the caller waits.
    pub(crate) fn time<T>(&self, kind: Kind, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        let elapsed = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0[kind as usize].fetch_add(elapsed, Ordering::Relaxed);
        done
    }

    /// Returns the time of each kind of work.
    pub(crate) fn read(&self) -> Work {
        let [products, attention, rest] =
            [0, 1, 2].map(|kind| Duration::from_nanos(self.0[kind].load(Ordering::Relaxed)));
        Work { products, attention, rest }
    }
}
