//! The rule by which viral-pipelines calls a contig from VirNucPro's scores of its chunks.
//!
//! It is that of the task `classify_virnucpro_contigs` in broadinstitute/viral-pipelines
//! (`pipes/WDL/tasks/tasks_metagenomics.wdl`, commit 0bb49f6). Sums are added in the order in which NumPy
//! adds them, so that a value at a threshold falls on the same side.

use crate::error::{Error, SettingProblem};
use crate::options::setters;

/// The delta beyond which a contig is viral, or not viral.
const CALLED: f64 = 0.3;
/// The delta beyond which confidence is high.
const HIGH: f64 = 0.6;

/// The requirements of viral-pipelines on a contig, beside its weighted delta.
///
/// ```
/// use virpack_core::verdict::ContigRule;
///
/// let rule = ContigRule::default().min_chunks(3);
/// assert_eq!(rule, ContigRule::default().min_chunks(3).min_viral(0.1).min_nonviral(0.1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ContigRule {
    pub(crate) min_chunks: u64,
    pub(crate) min_viral: f64,
    pub(crate) min_nonviral: f64,
}

impl Default for ContigRule {
    /// Returns the defaults of the task: 5 chunks, and a tenth of them confident.
    fn default() -> Self {
        ContigRule { min_chunks: 5, min_viral: 0.1, min_nonviral: 0.1 }
    }
}

impl ContigRule {
    setters! {
        /// Sets the number of chunks below which a contig drops by one tier.
        min_chunks: u64,
        /// Sets the lowest share of confident viral chunks, among those that are not ambiguous, for a viral
        /// contig of more than low confidence.
        min_viral: f64,
        /// Sets the same share for contigs that are not viral.
        min_nonviral: f64,
    }

    /// Checks that shares are between 0 and 1.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let shares = [("contig_min_viral", self.min_viral), ("contig_min_nonviral", self.min_nonviral)];
        match shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((setting, given)) => Err(SettingProblem::NoShare { setting, given }.into()),
            None => Ok(()),
        }
    }

    /// Calls a contig by the highest scores of its chunks, `[other, virus]`; None without a chunk.
    pub(crate) fn call(&self, chunks: &[[f64; 2]]) -> Option<ContigCall> {
        if chunks.is_empty() {
            return None;
        }
        let delta = weighted_delta(chunks);
        let count = |is_so: fn(&[f64; 2]) -> bool| chunks.iter().filter(|chunk| is_so(chunk)).count() as u64;
        let viral = count(|[other, virus]| *virus > 0.8 && *other < 0.3);
        let nonviral = count(|[other, virus]| *other > 0.8 && *virus < 0.3);
        let ambiguous = count(|[other, virus]| *virus > 0.7 && *other > 0.7);
        let counted = chunks.len() as u64 - ambiguous;
        let share = |confident: u64| if counted == 0 { 0.0 } else { confident as f64 / counted as f64 };
        let (viral_share, nonviral_share) = (share(viral), share(nonviral));
        let tier = |confident: u64, share: f64, least: f64| match confident >= 1 && share >= least {
            true if delta.abs() > HIGH => Tier::High,
            true => Tier::Moderate,
            false => Tier::Low,
        };
        let (call, tier) = if delta > CALLED {
            ("Viral", tier(viral, viral_share, self.min_viral))
        } else if delta < -CALLED {
            ("Non-viral", tier(nonviral, nonviral_share, self.min_nonviral))
        } else {
            ("Ambiguous", Tier::Review)
        };
        let is_short = (chunks.len() as u64) < self.min_chunks;
        Some(ContigCall {
            call,
            tier: if is_short { tier.lower() } else { tier }.as_str(),
            weighted_delta: rounded(delta),
            chunks: chunks.len() as u64,
            viral,
            nonviral,
            ambiguous,
            viral_share: rounded(viral_share),
            nonviral_share: rounded(nonviral_share),
        })
    }
}

/// The call of a contig, with its reasons.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ContigCall {
    pub(crate) call: &'static str,
    pub(crate) tier: &'static str,
    /// Rounded to three decimals, as the shares are.
    pub(crate) weighted_delta: f64,
    pub(crate) chunks: u64,
    /// Chunks that are confidently viral, those that are confidently not, and those that are ambiguous.
    pub(crate) viral: u64,
    pub(crate) nonviral: u64,
    pub(crate) ambiguous: u64,
    pub(crate) viral_share: f64,
    pub(crate) nonviral_share: f64,
}

#[derive(Clone, Copy)]
enum Tier {
    High,
    Moderate,
    Low,
    Review,
}

impl Tier {
    /// Returns the tier of a contig with few chunks.
    fn lower(self) -> Self {
        match self {
            Tier::High | Tier::Moderate => Tier::Low,
            Tier::Low | Tier::Review => Tier::Review,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Tier::High => "high_confidence",
            Tier::Moderate => "moderate_confidence",
            Tier::Low => "low_confidence",
            Tier::Review => "review",
        }
    }
}

/// Returns the mean of `virus - other`, weighted by the square root of its size.
fn weighted_delta(chunks: &[[f64; 2]]) -> f64 {
    let deltas = chunks.iter().map(|[other, virus]| virus - other);
    let (weights, weighted): (Vec<f64>, Vec<f64>) =
        deltas.map(|delta| (delta.abs().sqrt(), delta * delta.abs().sqrt())).unzip();
    let total = sum(&weights);
    // If all weights are 0, all deltas and their mean are 0.
    if total > 0.0 { sum(&weighted) / total } else { 0.0 }
}

/// Returns the sum of values in NumPy's order (pairwise, in blocks of 128 with eight sums each).
fn sum(values: &[f64]) -> f64 {
    const BLOCK: usize = 128;
    if values.len() < 8 {
        return values.iter().sum();
    }
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (first, second) = values.split_at(half - half % 8);
        return sum(first) + sum(second);
    }
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

/// Rounds to three decimals, as NumPy does.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round_ties_even() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(chunks: &[[f64; 2]]) -> [&'static str; 2] {
        let called = ContigRule::default().call(chunks).unwrap();
        [called.call, called.tier]
    }

    #[test]
    fn few_chunks_fall_a_tier() {
        assert_eq!(ContigRule::default().call(&[]), None);
        for (chunk, tiers) in [
            ([0.1, 0.9], [["Viral", "low_confidence"], ["Viral", "high_confidence"]]),
            ([0.25, 0.81], [["Viral", "low_confidence"], ["Viral", "moderate_confidence"]]),
            ([0.2, 0.7], [["Viral", "review"], ["Viral", "low_confidence"]]),
            ([0.9, 0.1], [["Non-viral", "low_confidence"], ["Non-viral", "high_confidence"]]),
            ([0.5, 0.5], [["Ambiguous", "review"]; 2]),
        ] {
            assert_eq!([call(&[chunk; 4]), call(&[chunk; 5])], tiers, "{chunk:?}");
        }
    }

    #[test]
    fn ambiguous_chunks_do_not_count_in_shares() {
        let chunks = [[0.9, 0.9], [0.9, 0.9], [0.1, 0.9], [0.1, 0.9], [0.1, 0.5]];
        let called = ContigRule::default().call(&chunks).unwrap();
        assert_eq!((called.ambiguous, called.viral, called.viral_share), (2, 2, 0.667));
        let all = ContigRule::default().call(&[[0.9, 0.9]; 5]).unwrap();
        assert_eq!((all.weighted_delta, all.viral_share, all.call), (0.0, 0.0, "Ambiguous"));
    }

    /// The expected value is that of `(numpy.arange(1, n + 1) * 0.1).sum()` (NumPy 2.4).
    #[test]
    fn sums_are_added_in_the_order_of_numpy() {
        let values = |n: u32| (1..=n).map(|i| f64::from(i) * 0.1).collect::<Vec<_>>();
        let cases =
            [(7, 2.8000000000000003), (10, 5.5), (15, 12.0), (130, 851.5), (300, 4515.0), (1000, 50050.0)];
        for (n, expected) in cases {
            assert_eq!(sum(&values(n)), expected, "{n}");
        }
        assert!(cases.iter().any(|(n, expected)| values(*n).iter().sum::<f64>() != *expected));
    }

    #[test]
    fn shares_are_from_0_to_1() {
        let rule = ContigRule::default();
        assert!(rule.min_viral(1.0).min_nonviral(0.0).check().is_ok());
        assert!(rule.min_viral(1.5).check().is_err());
        assert!(rule.min_nonviral(f64::NAN).check().is_err());
    }
}
