//! How well a packing fills its batches, and why if it does not.

use super::limits::has_other_limits;
use super::warning::{EfficiencyLevel, EfficiencyReason, EfficiencyWarning};
use super::{Algorithm, LengthHistogram, PackerOptions, lower_bound};

/// The efficiency below which there is a warning.
const WARN_UNDER: f64 = 0.85;
/// The efficiency below which the warning has the level *error*.
const ERROR_UNDER: f64 = 0.80;
/// The number of batches below which an efficiency is not informative.
const FEWEST_BATCHES: u64 = 10;
/// The number of budgets that a buffer should hold, so that its mix of lengths fills them.
const AMPLE_BUDGETS: f64 = 20.0;

/// How well a packing fills its batches.
///
/// Before the end of a stream, `lower_bound` and `padded_tokens` already count the sequences that still
/// wait. The other fields do not.
#[derive(Clone, Debug, PartialEq)]
pub struct PackStats {
    /// Sequences in batches.
    pub sequences: u64,
    /// Tokens in batches, special tokens included.
    pub tokens: u64,
    /// Batches.
    pub batches: u64,
    /// Most tokens in a batch.
    pub token_budget: usize,
    /// A lower bound on the batches of these lengths: the largest of several bounds for bin packing
    /// (Martello & Toth 1990; Fekete & Schepers 2001).
    pub lower_bound: u64,
    /// Tokens and padding that the same sequences take in padded batches, in input order, each batch with
    /// as many sequences as keep sequences × longest at or under the token budget.
    pub padded_tokens: u64,
    /// Tokens in the longest sequence.
    pub longest: usize,
    /// The warning about batches that are far from full.
    pub warning: Option<EfficiencyWarning>,
}

impl PackStats {
    /// Returns the part of all batches that holds tokens, 0 to 1: tokens / (batches × token budget); 1
    /// without batches.
    pub fn efficiency(&self) -> f64 {
        filled(self.tokens, self.batches, self.token_budget)
    }

    /// Returns the efficiency of a packing into [`PackStats::lower_bound`] batches, which no packing
    /// exceeds.
    pub fn best_efficiency(&self) -> f64 {
        filled(self.tokens, self.lower_bound, self.token_budget)
    }

    /// Returns the padding tokens that padded batches of the same sequences compute and these do not.
    ///
    /// ```
    /// use virpack_seq::{GreedyPacker, PackerOptions};
    ///
    /// let packer = GreedyPacker::new(PackerOptions::new(100, 60))?;
    /// let lengths = [50, 20, 20];
    /// let stats = packer.stats(&lengths, &packer.pack(&lengths)?);
    /// assert_eq!(stats.padding_avoided(), 30); // padded, the second sequence takes 50 tokens
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn padding_avoided(&self) -> u64 {
        self.padded_tokens - self.tokens
    }
}

fn filled(tokens: u64, batches: u64, token_budget: usize) -> f64 {
    if batches == 0 { 1.0 } else { tokens as f64 / (batches as f64 * token_budget as f64) }
}

/// Counts what the same sequences take in padded batches.
///
/// The padded batches are those of a runner without packing: sequences in input order, each padded to the
/// longest of its batch, with as many sequences in a batch as keep sequences × longest at or under the
/// token budget.
#[derive(Clone, Debug)]
struct PaddedCount {
    token_budget: u64,
    tokens: u64,
    sequences: u64,
    longest: u64,
}

impl PaddedCount {
    /// Returns a counter of padded batches of at most `token_budget` tokens, padding included.
    fn new(token_budget: usize) -> Self {
        PaddedCount { token_budget: token_budget as u64, tokens: 0, sequences: 0, longest: 0 }
    }

    /// Adds the next sequence, of `length` tokens.
    #[inline]
    fn add(&mut self, length: u32) {
        let longest = self.longest.max(u64::from(length));
        if (self.sequences + 1) * longest <= self.token_budget {
            self.sequences += 1;
            self.longest = longest;
        } else {
            self.tokens += self.sequences * self.longest;
            self.sequences = 1;
            self.longest = u64::from(length);
        }
    }

    /// Returns the tokens and padding so far.
    fn tokens(&self) -> u64 {
        self.tokens + self.sequences * self.longest
    }
}

/// Counts sequences and batches for [`PackStats`].
#[derive(Clone, Debug)]
pub(crate) struct PackTally {
    options: PackerOptions,
    pub(crate) lengths: LengthHistogram,
    padded: PaddedCount,
    all: BatchTotals,
    /// Batches that a slow source released before they were full.
    released: BatchTotals,
    /// Tokens in the emptiest batch among those that the end of the input closed.
    last: Option<u64>,
}

/// A sum over batches.
#[derive(Clone, Copy, Debug, Default)]
struct BatchTotals {
    batches: u64,
    sequences: u64,
    tokens: u64,
}

impl BatchTotals {
    fn add(&mut self, sequences: usize, tokens: u64) {
        self.batches += 1;
        self.sequences += sequences as u64;
        self.tokens += tokens;
    }
}

/// What closed a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The packer.
    Packed,
    /// A device that waited for a slow source.
    Released,
    /// The end of the input.
    End,
}

impl PackTally {
    pub(crate) fn new(options: &PackerOptions) -> Self {
        PackTally {
            options: options.clone(),
            lengths: LengthHistogram::default(),
            padded: PaddedCount::new(options.token_budget),
            all: BatchTotals::default(),
            released: BatchTotals::default(),
            last: None,
        }
    }

    #[inline]
    pub(crate) fn receive(&mut self, length: u32) {
        self.lengths.add(length);
        self.padded.add(length);
    }

    /// Counts a batch of `sequences` sequences with `tokens` tokens.
    pub(crate) fn batch(&mut self, sequences: usize, tokens: u64, closed: CloseReason) {
        self.all.add(sequences, tokens);
        match closed {
            CloseReason::Packed => {}
            CloseReason::Released => self.released.add(sequences, tokens),
            CloseReason::End => self.last = Some(self.last.map_or(tokens, |least| least.min(tokens))),
        }
    }

    /// Returns the statistics so far. `buffer_size` is the number of records packed at a time, `None` for
    /// all at once.
    pub(crate) fn stats(&self, buffer_size: Option<usize>, packing: bool) -> PackStats {
        let lower_bound = lower_bound(&self.lengths, &self.options);
        PackStats {
            sequences: self.all.sequences,
            tokens: self.all.tokens,
            batches: self.all.batches,
            token_budget: self.options.token_budget,
            lower_bound,
            padded_tokens: self.padded.tokens(),
            longest: self.lengths.longest(),
            warning: self.warning(lower_bound, buffer_size, packing),
        }
    }

    /// Returns a warning, unless the batches are few. Batches closed by the end of the input count without
    /// the emptiest, and batches that were released early do not count.
    fn warning(
        &self,
        lower_bound: u64,
        buffer_size: Option<usize>,
        packing: bool,
    ) -> Option<EfficiencyWarning> {
        let budget = self.options.token_budget;
        let counted = self.all.batches - self.released.batches;
        if counted < FEWEST_BATCHES {
            return None;
        }
        let tokens = self.all.tokens - self.released.tokens - self.last.unwrap_or(0);
        let efficiency = filled(tokens, counted - u64::from(self.last.is_some()), budget);
        let level = match efficiency {
            e if e < ERROR_UNDER => EfficiencyLevel::Error,
            e if e < WARN_UNDER => EfficiencyLevel::Warning,
            _ => return None,
        };
        let all = self.lengths.tokens();
        let buffer_tokens = buffer_size
            .map_or(f64::INFINITY, |size| all as f64 / self.lengths.sequences().max(1) as f64 * size as f64);
        let records_only = PackerOptions::new(budget, budget);
        let reason = if !packing {
            EfficiencyReason::PackingOff
        } else if filled(all, lower_bound.saturating_sub(1), budget) < WARN_UNDER {
            if filled(all, super::lower_bound(&self.lengths, &records_only), budget) < WARN_UNDER {
                EfficiencyReason::BudgetNearLongest
            } else {
                EfficiencyReason::OtherLimits
            }
        } else if matches!(self.options.algorithm, Algorithm::NextFit | Algorithm::NextFitDecreasing) {
            EfficiencyReason::NextFit
        } else if buffer_tokens < AMPLE_BUDGETS * budget as f64 {
            EfficiencyReason::BufferTooSmall
        } else if has_other_limits(&self.options) {
            EfficiencyReason::OtherLimits
        } else {
            EfficiencyReason::BudgetNearLongest
        };
        Some(EfficiencyWarning {
            level,
            reason,
            efficiency,
            token_budget: budget,
            longest: self.lengths.longest(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Hint;

    /// Returns the statistics of `batches` batches of these lengths, and one more that the end of the input
    /// closed.
    fn stats(
        options: PackerOptions,
        batch: &[u32],
        batches: u64,
        last: u64,
        buffer: Option<usize>,
    ) -> PackStats {
        let mut tally = PackTally::new(&options);
        for _ in 0..batches {
            batch.iter().for_each(|&length| tally.receive(length));
            tally.batch(
                batch.len(),
                batch.iter().map(|&length| u64::from(length)).sum(),
                CloseReason::Packed,
            );
        }
        if last > 0 {
            tally.receive(last as u32);
            tally.batch(1, last, CloseReason::End);
        }
        tally.stats(buffer, true)
    }

    fn reason(stats: &PackStats) -> Option<(EfficiencyLevel, EfficiencyReason)> {
        stats.warning.map(|warning| (warning.level, warning.reason))
    }

    #[test]
    fn efficiency_is_of_the_budget() {
        let stats = stats(PackerOptions::new(100, 100), &[50, 45], 20, 10, None);
        assert_eq!((stats.tokens, stats.batches), (1_910, 21));
        assert!((stats.efficiency() - 1_910.0 / 2_100.0).abs() < 1e-12);
        assert!(PackTally::new(&PackerOptions::new(9, 9)).stats(None, true).efficiency() == 1.0);
    }

    #[test]
    fn the_end_and_a_handful_of_batches_cause_no_warning() {
        let options = || PackerOptions::new(100, 100);
        assert_eq!(reason(&stats(options(), &[60], 9, 0, None)), None);
        assert!(reason(&stats(options(), &[60], 10, 0, None)).is_some());
        assert_eq!(reason(&stats(options(), &[86], 12, 1, None)), None, "the end leaves 80 % over all");
    }

    #[test]
    fn released_batches_cause_no_warning() {
        let mut tally = PackTally::new(&PackerOptions::new(100, 100));
        for _ in 0..1_000 {
            tally.receive(10);
            tally.batch(1, 10, CloseReason::Released);
        }
        assert_eq!(tally.stats(None, true).warning, None);
    }

    #[test]
    fn warnings_give_the_reason() {
        use EfficiencyLevel::{Error, Warning};
        let level = |batch: &[u32]| reason(&stats(PackerOptions::new(100, 100), batch, 50, 0, None));
        assert_eq!(level(&[60]), Some((Error, EfficiencyReason::BudgetNearLongest)));
        assert_eq!(level(&[82]), Some((Warning, EfficiencyReason::BudgetNearLongest)));
        assert_eq!(level(&[85]), None);
        let short = |buffer| stats(PackerOptions::new(1_000, 100), &[10; 70], 50, 0, buffer);
        assert_eq!(reason(&short(Some(200))), Some((Error, EfficiencyReason::BufferTooSmall)));
        let next_fit = PackerOptions::new(1_000, 100).algorithm(Algorithm::NextFit);
        let next_fit = stats(next_fit, &[10; 83], 50, 0, None);
        assert_eq!(reason(&next_fit), Some((Warning, EfficiencyReason::NextFit)));
        let limited = stats(PackerOptions::new(1_000, 100).max_sequences(50), &[10; 50], 50, 0, Some(200));
        assert_eq!(reason(&limited), Some((Error, EfficiencyReason::OtherLimits)));
        let warning = short(Some(200)).warning.unwrap();
        assert!(warning.to_string().contains("70.0 % full"), "{warning}");
        assert!(warning.hint().unwrap().contains("collect more records"), "{warning:?}");
    }

    #[test]
    fn padding_is_that_of_batches_in_input_order() {
        let mut padded = PaddedCount::new(100);
        for length in [10, 50, 20, 100, 1] {
            padded.add(length);
        }
        assert_eq!(padded.tokens(), 2 * 50 + 20 + 100 + 1);
    }
}
