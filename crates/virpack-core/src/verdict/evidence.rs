//! The combined evidence of a record's chunks.

/// The most that one chunk counts, in nats: its log-odds are clipped to ± this.
///
/// 3 nats are a `score_virus` of 0.95. Without a limit, one chunk with a wrong score can decide the call of
/// a record.
pub(super) const CLIP: f64 = 3.0;

/// Units of [`Evidence::sum`] in a nat. Sums of integers do not depend on their order.
const UNITS: f64 = (1_u64 << 32) as f64;

/// Returns `ln(virus / other)` of a chunk's highest scores `[other, virus]`, in nats, clipped to ± [`CLIP`].
///
/// 0 where both scores are 0.
#[must_use]
pub(super) fn log_odds([other, virus]: [f32; 2]) -> f64 {
    let odds = f64::from(virus).ln() - f64::from(other).ln();
    // If both are 0, the difference is not a number.
    if odds.is_nan() { 0.0 } else { odds.clamp(-CLIP, CLIP) }
}

/// The evidence of one record: the sum of its classified chunks' log-odds, and their number.
///
/// Chunks may come in any order: the sum is exact in units of 2^-32 nat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    classified: u64,
    sum: i128,
}

impl Evidence {
    /// Adds a chunk's highest scores `[other, virus]`. A chunk without a verdict adds nothing.
    pub(crate) fn add(&mut self, highest: Option<[f32; 2]>) {
        let Some(highest) = highest else { return };
        self.classified += 1;
        #[expect(clippy::cast_possible_truncation, reason = "3 nats are 2^34 units")]
        let units = (log_odds(highest) * UNITS).round() as i64;
        self.sum += i128::from(units);
    }

    /// Returns the number of chunks with a verdict.
    #[must_use]
    pub(crate) fn classified(&self) -> u64 {
        self.classified
    }

    /// Returns the mean log-odds of the chunks with a verdict, in nats; None if there is no such chunk.
    #[must_use]
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.classified > 0).then(|| self.sum as f64 / UNITS / self.classified as f64)
    }
}

impl FromIterator<Option<[f32; 2]>> for Evidence {
    fn from_iter<I: IntoIterator<Item = Option<[f32; 2]>>>(chunks: I) -> Self {
        let mut evidence = Evidence::default();
        chunks.into_iter().for_each(|highest| evidence.add(highest));
        evidence
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn log_odds_are_clipped_and_never_nan() {
        assert_eq!(log_odds([0.5, 0.5]), 0.0);
        assert_eq!(log_odds([0.0, 0.0]), 0.0);
        assert_eq!(log_odds([1.0, 0.0]), -CLIP);
        assert_eq!(log_odds([0.001, 0.999]), CLIP);
        assert_eq!(log_odds([0.0, 1.0]), 3.0);
        assert!((log_odds([0.2, 0.8]) - 4_f64.ln()).abs() < 1e-6);
        assert!((log_odds([0.25, 0.75]) - 3_f64.ln()).abs() < 1e-12);
        // The highest scores may come from two frames, and need not add up to 1.
        assert!((log_odds([0.9, 0.9])).abs() < 1e-12);
    }

    #[test]
    fn chunks_without_a_verdict_are_no_evidence() {
        assert_eq!(Evidence::default().mean(), None);
        let none: Evidence = [None, None].into_iter().collect();
        assert_eq!((none.mean(), none.classified()), (None, 0));
        let some: Evidence = [None, Some([0.25, 0.75]), None, Some([0.75, 0.25])].into_iter().collect();
        assert_eq!(some.classified(), 2);
        assert!(some.mean().is_some_and(|mean| mean.abs() < 1e-9));
    }

    proptest! {
        #[test]
        fn the_sum_does_not_depend_on_the_order(
            mut scores in prop::collection::vec(prop::option::of((0.0_f32..=1.0, 0.0_f32..=1.0)), 0..60),
            by in 0_usize..60,
        ) {
            let all = |scores: &[Option<(f32, f32)>]| -> Evidence {
                scores.iter().map(|s| s.map(|(o, v)| [o, v])).collect()
            };
            let before = all(&scores);
            if !scores.is_empty() {
                let turns = by % scores.len();
                scores.rotate_left(turns);
                scores.reverse();
            }
            prop_assert_eq!(all(&scores), before);
        }
    }
}
