//! How many tokens a batch may hold in the available memory.

use crate::error::SeqError;

/// Token budgets are multiples of this, the width of a GEMM tile.
const BUDGET_STEP: usize = 128;

/// Memory that a model takes on a backend, in bytes, as both report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Weights.
    pub weights: u64,
    /// Everything else that does not grow with the batch.
    pub workspace: u64,
    /// Activations of one token of a batch.
    pub bytes_per_token: u64,
    /// Memory of one sequence of a batch beside its tokens (boundaries, its pooled row).
    pub bytes_per_sequence: u64,
}

impl Footprint {
    /// Bytes for a batch of `tokens` tokens in `sequences` sequences, weights and workspace included.
    ///
    /// ```
    /// use virpack_seq::Footprint;
    ///
    /// let model = Footprint { weights: 1_000, workspace: 10, bytes_per_token: 4, bytes_per_sequence: 2 };
    /// assert_eq!(model.bytes(100, 5), 1_000 + 10 + 400 + 10);
    /// ```
    pub fn bytes(&self, tokens: u64, sequences: u64) -> u64 {
        let tokens = self.bytes_per_token.saturating_mul(tokens);
        let sequences = self.bytes_per_sequence.saturating_mul(sequences);
        self.weights.saturating_add(self.workspace).saturating_add(tokens).saturating_add(sequences)
    }
}

/// The limits of a token budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// The smallest budget, in tokens: usually the longest sequence that may occur.
    pub min: usize,
    /// The largest budget, in tokens.
    pub max: usize,
    /// Tokens in the shortest sequence that may occur: a batch has at most budget / shortest sequences.
    pub shortest: usize,
}

/// Returns the largest token budget whose batches fit in `memory` bytes beside the model.
///
/// It is a multiple of 128 within the limits, or `limits.min` if the limits contain no such multiple. Every
/// batch under it fits, even one of shortest sequences only.
///
/// ```
/// use virpack_seq::{BudgetLimits, Footprint, calculate_token_budget};
///
/// let footprint = Footprint { weights: 30_000_000, bytes_per_token: 20_000, ..Footprint::default() };
/// let limits = BudgetLimits { min: 1_024, max: 65_536, shortest: 3 };
/// assert_eq!(calculate_token_budget(112_000_000, &footprint, &limits)?, 4_096); // 4,100 fit
/// # Ok::<(), virpack_seq::SeqError>(())
/// ```
///
/// # Errors
///
/// [`SeqError::NotEnoughMemory`] with the bytes needed if `limits.min` does not fit;
/// [`SeqError::BudgetTooSmall`] if `limits.max` is below `limits.min`.
pub fn calculate_token_budget(
    memory: u64,
    footprint: &Footprint,
    limits: &BudgetLimits,
) -> Result<usize, SeqError> {
    let smallest = limits.min.max(1);
    if limits.max < smallest {
        return Err(SeqError::BudgetTooSmall { token_budget: limits.max, longest: smallest });
    }
    let needed =
        |budget: usize| footprint.bytes(budget as u64, budget as u64 / limits.shortest.max(1) as u64);
    if needed(smallest) > memory {
        let needed = needed(smallest);
        return Err(SeqError::NotEnoughMemory {
            available: memory,
            needed,
            smallest_budget: smallest,
            limit: None,
        });
    }
    // Bisects for the largest number of steps that fits: `fits` fit, `over` are too many.
    let (mut fits, mut over) = (0, limits.max / BUDGET_STEP + 1);
    while over - fits > 1 {
        let middle = fits + (over - fits) / 2;
        if needed(middle * BUDGET_STEP) <= memory { fits = middle } else { over = middle }
    }
    Ok((fits * BUDGET_STEP).max(smallest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: BudgetLimits = BudgetLimits { min: 1_024, max: 1 << 24, shortest: 3 };
    const ESM2_3B: Footprint = Footprint {
        weights: 5_700_000_000,
        workspace: 256_000_000,
        bytes_per_token: 61_440,
        bytes_per_sequence: 10_240,
    };

    #[test]
    fn a_large_device_is_not_a_small_one() {
        // The predecessor capped every device at 16,384 tokens.
        let small = calculate_token_budget(24_000_000_000, &ESM2_3B, &LIMITS).unwrap();
        let large = calculate_token_budget(141_000_000_000, &ESM2_3B, &LIMITS).unwrap();
        assert!(large > 7 * small && large > 1 << 20, "{small} {large}");
    }

    #[test]
    fn the_footprint_decides() {
        // The predecessor assumed 4,096 bytes for each token of every model.
        let light = Footprint { bytes_per_token: 6_144, bytes_per_sequence: 0, ..ESM2_3B };
        let heavy = calculate_token_budget(24_000_000_000, &ESM2_3B, &LIMITS).unwrap();
        assert!(calculate_token_budget(24_000_000_000, &light, &LIMITS).unwrap() > 9 * heavy);
    }

    #[test]
    fn too_little_memory_is_reported_with_what_is_needed() {
        let error = calculate_token_budget(1_000, &ESM2_3B, &LIMITS).unwrap_err();
        let SeqError::NotEnoughMemory { available: 1_000, needed, smallest_budget: 1_024, limit: None } =
            error
        else {
            panic!("{error}")
        };
        assert_eq!(calculate_token_budget(needed, &ESM2_3B, &LIMITS).unwrap(), 1_024);
        assert!(calculate_token_budget(needed - 1, &ESM2_3B, &LIMITS).is_err());
        let upside_down = BudgetLimits { min: 100, max: 99, shortest: 1 };
        let error = calculate_token_budget(u64::MAX, &ESM2_3B, &upside_down).unwrap_err();
        assert!(matches!(error, SeqError::BudgetTooSmall { token_budget: 99, longest: 100 }));
    }

    proptest! {
        #[test]
        fn exact(
            memory: u64, weights in 0..u64::MAX, workspace in 0u64..1 << 40, bytes_per_token in 0u64..1 << 30,
            bytes_per_sequence in 0u64..1 << 20, min in 0usize..5_000, more in 0usize..1 << 30,
            shortest in 0usize..100, small: bool,
        ) {
            let (memory, weights) = if small { (memory >> 24, weights >> 30) } else { (memory, weights) };
            let footprint = Footprint { weights, workspace, bytes_per_token, bytes_per_sequence };
            let limits = BudgetLimits { min, max: (min + more).max(1), shortest };
            let needs = |budget: usize| {
                u128::from(weights) + u128::from(workspace)
                    + budget as u128 * u128::from(bytes_per_token)
                    + (budget / shortest.max(1)) as u128 * u128::from(bytes_per_sequence)
            };
            match calculate_token_budget(memory, &footprint, &limits) {
                Ok(budget) => {
                    prop_assert!(needs(budget) <= u128::from(memory).max(1));
                    prop_assert!((min.max(1)..=limits.max).contains(&budget));
                    prop_assert!(budget % BUDGET_STEP == 0 || budget == min.max(1));
                    let next = (budget / BUDGET_STEP + 1) * BUDGET_STEP;
                    prop_assert!(next > limits.max || needs(next) > u128::from(memory));
                }
                Err(_) => prop_assert!(needs(min.max(1)) > u128::from(memory)),
            }
        }
    }
}
