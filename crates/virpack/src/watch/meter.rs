//! Computes rates from the progress of a run over time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};
use virpack_core::{ChunkProgress, DeviceProgress, Progress};

/// The time over which rates are computed.
const WINDOW: Duration = Duration::from_secs(30);
/// The shortest time between two states that are kept.
const STEP: Duration = Duration::from_secs(1);

/// The states of a run over the last half minute.
#[derive(Debug)]
pub(super) struct Meter {
    start: Instant,
    /// The oldest state first, which is as old as the window, or the start.
    kept: VecDeque<(Instant, Progress)>,
    latest: Progress,
    /// The time of the latest state.
    latest_at: Instant,
    /// The longest time between two states.
    gap: Duration,
}

/// The figures of a run at one time.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) elapsed: Duration,
    pub(super) progress: Progress,
    pub(super) records_per_second: f64,
    /// The figures of a run that judges chunks.
    pub(super) chunks: Option<ChunkFigures>,
    /// The remaining time, at the run's own pace so far; None if nothing is finished yet.
    pub(super) left: Option<Duration>,
    pub(super) devices: Vec<DeviceFigures>,
}

/// The chunks that have their scores, and their rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkFigures {
    pub(super) progress: ChunkProgress,
    pub(super) chunks_per_second: f64,
    pub(super) bases_per_second: f64,
}

/// A device, over the last half minute.
#[derive(Debug)]
pub(super) struct DeviceFigures {
    pub(super) progress: DeviceProgress,
    pub(super) tokens_per_second: f64,
    /// The share of the time in which it computed, 0 to 1.
    pub(super) busy: f64,
}

impl Meter {
    /// Returns a meter without progress.
    pub(super) fn new(start: Instant) -> Meter {
        let nothing = Progress::default();
        let kept = VecDeque::from([(start, nothing.clone())]);
        Meter { start, kept, latest: nothing, latest_at: start, gap: Duration::ZERO }
    }

    /// Adds the state at `now`.
    pub(super) fn add(&mut self, now: Instant, progress: Progress) {
        self.latest = progress;
        self.gap = self.gap.max(now.duration_since(self.latest_at));
        self.latest_at = now;
        if self.kept.back().is_none_or(|(last, _)| now.duration_since(*last) >= STEP) {
            self.kept.push_back((now, self.latest.clone()));
        }
        while self.kept.get(1).is_some_and(|(next, _)| now.duration_since(*next) >= WINDOW) {
            self.kept.pop_front();
        }
    }

    /// Returns the remaining time at `now`: at the pace until the latest state, at which `done` is the
    /// share of the work, minus the time since that state, until the next one is overdue.
    fn left(&self, now: Instant, done: f64) -> Duration {
        let taken = self.latest_at.duration_since(self.start);
        let since = now.duration_since(self.latest_at).min(self.gap);
        taken.mul_f64((1.0 - done) / done).saturating_sub(since)
    }

    /// Returns the figures at `now`.
    pub(super) fn figures(&self, now: Instant) -> Figures {
        let elapsed = now.duration_since(self.start);
        let (since, before) = self.kept.front().expect("the start, or a later state, is kept");
        let seconds = now.duration_since(*since).as_secs_f64().max(1e-3);
        let device = |progress: &DeviceProgress| {
            let same =
                |other: &&DeviceProgress| (other.model, other.device) == (progress.model, progress.device);
            let before = before.devices.iter().find(same).map(|before| before.tally).unwrap_or_default();
            let busy = progress.tally.busy.saturating_sub(before.busy).as_secs_f64() / seconds;
            DeviceFigures {
                progress: *progress,
                tokens_per_second: progress.tally.tokens.saturating_sub(before.tokens) as f64 / seconds,
                busy: busy.min(1.0),
            }
        };
        let chunks = self.latest.chunks.map(|progress| {
            let before = before.chunks.unwrap_or_default();
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            ChunkFigures {
                progress,
                chunks_per_second: rate(progress.chunks, before.chunks),
                bases_per_second: rate(progress.bases, before.bases),
            }
        });
        let left = self.latest.done.filter(|done| *done > 0.0).map(|done| self.left(now, done));
        Figures {
            elapsed,
            records_per_second: self.latest.records.saturating_sub(before.records) as f64 / seconds,
            chunks,
            left,
            devices: self.latest.devices.iter().map(device).collect(),
            progress: self.latest.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_core::DeviceTally;

    fn state(second: u64, tokens: u64) -> Progress {
        let busy = Duration::from_millis(500 * second);
        let tally = DeviceTally { busy, tokens, ..DeviceTally::default() };
        let devices = vec![DeviceProgress { model: None, device: 0, token_budget: 100, tally }];
        let chunks = Some(ChunkProgress { chunks: 2 * second, bases: 600 * second });
        Progress {
            records: 10 * second,
            chunks,
            done: Some(second as f64 / 200.0),
            devices,
            ..Progress::default()
        }
    }

    #[test]
    fn rates_are_of_the_last_half_minute_and_the_time_left_of_the_run() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut meter = Meter::new(start);
        assert_eq!(meter.figures(at(5)).left, None);
        // A thousand tokens per second, and two thousand from the 50th second on.
        for second in 1..=100u64 {
            let tokens = 1_000 * second + 1_000 * second.saturating_sub(50);
            meter.add(at(second), state(second, tokens));
            meter.add(at(second), state(second, tokens));
        }
        assert!(meter.kept.len() <= 32, "{}", meter.kept.len());
        let figures = meter.figures(at(100));
        assert!((figures.records_per_second - 10.0).abs() < 0.1, "{figures:?}");
        assert!((figures.devices[0].tokens_per_second - 2_000.0).abs() < 20.0, "{figures:?}");
        assert!((figures.devices[0].busy - 0.5).abs() < 0.01, "{figures:?}");
        let chunks = figures.chunks.unwrap();
        assert!((chunks.chunks_per_second - 2.0).abs() < 0.02, "{figures:?}");
        assert!((chunks.bases_per_second - 600.0).abs() < 6.0, "{figures:?}");
        assert_eq!(figures.left, Some(Duration::from_secs(100)));
        // No more progress: the rate decreases.
        assert!(meter.figures(at(130)).devices[0].tokens_per_second < 1_100.0);
    }

    #[test]
    fn the_time_left_goes_down_until_the_next_state_is_overdue() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut meter = Meter::new(start);
        let state = |done| Progress { done: Some(done), ..Progress::default() };
        meter.add(at(6), state(0.1));
        meter.add(at(10), state(0.25));
        let left = |second| meter.figures(at(second)).left.unwrap().as_secs();
        // The age of a state does not count as a slower pace.
        assert_eq!([10, 12, 14, 15, 60].map(left), [30, 28, 26, 25, 24]);
        let mut meter = Meter::new(start);
        meter.add(at(10), state(1.0));
        assert_eq!(meter.figures(at(11)).left, Some(Duration::ZERO));
    }
}
