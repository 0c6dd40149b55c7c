//! Measures what a device did between two completions.

use std::time::Duration;

use crate::runner::IN_FLIGHT;

/// The completion of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Completion {
    /// The time, since a moment before the first completion.
    pub(super) at: Duration,
    pub(super) tokens: u64,
    pub(super) sequences: u64,
    /// Time that the device had computed by then.
    pub(super) busy: Duration,
}

/// Complete batches, and the time they took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) elapsed: Duration,
    pub(super) tokens: u64,
    pub(super) sequences: u64,
    pub(super) busy: Duration,
}

impl Span {
    /// Returns the span from the first completion to the last one at which the device had as much in
    /// flight: the batches in between. None if there is no such batch.
    ///
    /// At every completion but the last ones another batch is in flight, and on a CPU it is already
    /// computed. The span has the same number of such batches at its beginning and at its end, so the time
    /// is that of the batches that are counted. The completions after the last submission would count
    /// without their time.
    pub(super) fn between(completions: &[Completion]) -> Option<Span> {
        let steady = completions.len().checked_sub(IN_FLIGHT - 1)?;
        let ([first, counted @ ..], Some(last)) = (&completions[..steady], completions[..steady].last())
        else {
            return None;
        };
        let elapsed = last.at.saturating_sub(first.at);
        (!counted.is_empty() && !elapsed.is_zero()).then(|| Span {
            elapsed,
            tokens: counted.iter().map(|batch| batch.tokens).sum(),
            sequences: counted.iter().map(|batch| batch.sequences).sum(),
            busy: last.busy.saturating_sub(first.busy),
        })
    }

    /// Returns a count per second.
    pub(super) fn rate(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that computes each batch of 100 tokens in 10 ms as it is submitted, with two in flight. The
    /// results of each batch arrive when the next is computed, and those of the last two together.
    fn on_a_cpu(batches: u64) -> Vec<Completion> {
        let at = |batch: u64| Duration::from_millis(10 * (batch + 2).min(batches));
        let completion = |batch| Completion { at: at(batch), tokens: 100, sequences: 5, busy: at(batch) };
        (0..batches).map(completion).collect()
    }

    #[test]
    fn the_rate_is_the_devices_own_however_few_batches_there_are() {
        for batches in [3, 4, 10, 1_000] {
            let span = Span::between(&on_a_cpu(batches)).unwrap();
            assert!((span.rate(span.tokens) - 10_000.0).abs() < 1e-6, "{batches}: {span:?}");
            assert_eq!((span.sequences, span.busy), (5 * (batches - 2), span.elapsed));
            // Counted to the end, three batches would appear twice as fast as they are.
            let completions = on_a_cpu(batches);
            let all = (completions.len() - 1) as f64 * 100.0;
            let elapsed = (completions[completions.len() - 1].at - completions[0].at).as_secs_f64();
            assert!(all / elapsed > 10_000.0);
        }
        for batches in 0..3 {
            assert_eq!(Span::between(&on_a_cpu(batches)), None, "{batches} batches tell nothing");
        }
    }
}
