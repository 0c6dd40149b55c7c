//! What a device has done, and how much of what it holds it has done by now.

use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use virpack_seq::PackedBatch;

/// What one device has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceTally {
    /// Time it computed, where it keeps a clock; else the time spent handing it batches and waiting for them.
    pub busy: Duration,
    /// Tokens, special ones included.
    pub tokens: u64,
    /// The same with those that it has computed of the batches under way, by its pace so far.
    pub computed: u64,
    /// Sequences.
    pub sequences: u64,
    /// Batches.
    pub batches: u64,
}

impl DeviceTally {
    /// Returns the part of its batches that held tokens, 0 to 1, where `token_budget` is the most in one;
    /// None without a batch.
    ///
    /// ```
    /// let tally = virpack_core::DeviceTally { tokens: 150, batches: 2, ..Default::default() };
    /// assert_eq!(tally.packing_efficiency(100), Some(0.75));
    /// ```
    pub fn packing_efficiency(&self, token_budget: usize) -> Option<f64> {
        let room = self.batches as f64 * token_budget as f64;
        (self.batches > 0).then(|| (self.tokens as f64 / room).min(1.0))
    }
}

/// The same while it grows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) busy: AtomicU64,
    tokens: AtomicU64,
    sequences: AtomicU64,
    batches: AtomicU64,
    pace: Mutex<Pace>,
}

/// Tokens as the device computes them, which is before their results are handed on.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    computed: u64,
    /// In the batches that it has and that are not computed.
    under_way: u64,
    /// When it began with the first of them.
    since: Option<Instant>,
}

impl Tally {
    /// A batch is handed on.
    pub(super) fn add(&self, batch: &PackedBatch) {
        self.tokens.fetch_add(batch.total_tokens() as u64, Ordering::Relaxed);
        self.sequences.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// The device gets a batch.
    pub(super) fn begin(&self, batch: &PackedBatch) {
        self.pace().begin(batch.total_tokens() as u64, Instant::now());
    }

    /// A batch is computed.
    pub(super) fn compute(&self, batch: &PackedBatch) {
        self.pace().compute(batch.total_tokens() as u64, Instant::now());
    }

    /// The device had no room for a batch.
    pub(super) fn withdraw(&self, batch: &PackedBatch) {
        let mut pace = self.pace();
        pace.under_way = pace.under_way.saturating_sub(batch.total_tokens() as u64);
    }

    /// The device gets nothing more, and what it holds is no longer its own.
    pub(super) fn lose(&self) {
        let computed = self.tokens.load(Ordering::Relaxed);
        *self.pace() = Pace { computed, ..Pace::default() };
    }

    pub(super) fn read(&self) -> DeviceTally {
        let busy = Duration::from_nanos(self.busy.load(Ordering::Relaxed));
        DeviceTally {
            busy,
            tokens: self.tokens.load(Ordering::Relaxed),
            computed: self.pace().by(Instant::now(), busy),
            sequences: self.sequences.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock()
    }
}

impl Pace {
    fn begin(&mut self, tokens: u64, now: Instant) {
        if self.under_way == 0 {
            self.since = Some(now);
        }
        self.under_way += tokens;
    }

    fn compute(&mut self, tokens: u64, now: Instant) {
        self.computed += tokens;
        self.under_way = self.under_way.saturating_sub(tokens);
        self.since = Some(now);
    }

    /// Tokens computed by `now`, if the device was `busy` with those that are known to be computed.
    fn by(&self, now: Instant, busy: Duration) -> u64 {
        let Some(since) = self.since.filter(|_| !busy.is_zero()) else { return self.computed };
        let spent = now.saturating_duration_since(since).as_secs_f64();
        let ahead = self.computed as f64 * spent / busy.as_secs_f64();
        self.computed + (ahead as u64).min(self.under_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_under_way_counts_by_the_pace_so_far() {
        let start = Instant::now();
        let at = |second: f64| start + Duration::from_secs_f64(second);
        let mut pace = Pace::default();
        pace.begin(1_000, start);
        assert_eq!(
            pace.by(at(9.0), Duration::ZERO),
            0,
            "no pace is known before the first batch is computed"
        );
        pace.compute(1_000, at(10.0));
        // The next batch waits for five seconds.
        assert_eq!(pace.by(at(15.0), Duration::from_secs(10)), 1_000);
        pace.begin(800, at(15.0));
        let busy = Duration::from_secs(10);
        assert_eq!(pace.by(at(15.0), busy), 1_000);
        assert_eq!(pace.by(at(19.0), busy), 1_400);
        // It is not done before it is done, nor is the one behind it.
        assert_eq!(pace.by(at(60.0), busy), 1_800);
        pace.begin(500, at(19.0));
        assert_eq!(pace.by(at(60.0), busy), 2_300);
        pace.compute(800, at(23.0));
        assert_eq!(pace.by(at(23.0), Duration::from_secs(18)), 1_800);
        assert_eq!(pace.by(at(25.0), Duration::from_secs(18)), 2_000);
    }

    #[test]
    fn what_a_lost_device_held_is_not_its_own() {
        let tally = Tally::default();
        *tally.pace() = Pace { computed: 900, under_way: 800, since: Some(Instant::now()) };
        tally.busy.store(1, Ordering::Relaxed);
        assert!(tally.read().computed >= 900);
        tally.lose();
        assert_eq!(tally.read().computed, 0);
    }
}
