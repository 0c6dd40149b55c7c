//! A lower bound on the number of batches.

use super::{LengthHistogram, PackerOptions};

/// The most parts into which a budget is divided to count how many complete records it holds.
const MAX_PARTS: u64 = 1024;

/// Returns a lower bound on the number of batches of these lengths.
///
/// It is the largest of: the tokens over the budget; the sequences over `max_sequences`; the squared
/// lengths over `max_attention_cost`; the bound L2 of Martello & Toth (*Knapsack Problems*, 1990, chapter
/// 8), which counts sequences longer than half a budget; and the bounds of the rounding functions u(k) of
/// Fekete & Schepers (*New classes of fast lower bounds for bin packing problems*, 2001), which count how
/// many complete records a budget holds (24 of 168 tokens in 4,096, not 24.4).
pub(super) fn lower_bound(histogram: &LengthHistogram, options: &PackerOptions) -> u64 {
    let budget = options.token_budget as u64;
    // The table of all lengths may be long and sparse, and the bounds iterate over it many times.
    let lengths: Vec<(u64, u64)> = histogram.iter().collect();
    let mut bound = histogram.tokens().div_ceil(budget).max(half_bound(&lengths, budget));
    bound = bound.max(rounding_bound(&lengths, budget));
    if let Some(most) = options.max_sequences {
        bound = bound.max(histogram.sequences().div_ceil(most as u64));
    }
    if let Some(most) = options.max_attention_cost {
        let cost: u128 =
            lengths.iter().map(|&(length, count)| u128::from(length * length) * u128::from(count)).sum();
        bound = bound.max(u64::try_from(cost.div_ceil(u128::from(most))).unwrap_or(u64::MAX));
    }
    bound
}

/// Martello & Toth's L2: each sequence over half a budget needs its own batch; those of at least `a` tokens
/// fit beside the ones of at most `budget - a`, or need more batches. The result is the largest over all
/// `a`.
fn half_bound(lengths: &[(u64, u64)], budget: u64) -> u64 {
    let mut large = lengths.iter().copied().skip_while(|(length, _)| 2 * length <= budget).peekable();
    let apart: u64 = large.clone().map(|(_, count)| count).sum();
    let (mut bound, mut small, mut beside) = (apart, 0, 0);
    for (a, count) in lengths.iter().copied().rev().skip_while(|(length, _)| 2 * length > budget) {
        small += a * count;
        while let Some((length, count)) = large.next_if(|(length, _)| length + a <= budget) {
            beside += (budget - length) * count;
        }
        bound = bound.max(apart + small.saturating_sub(beside).div_ceil(budget));
    }
    bound
}

/// Fekete & Schepers' u(k), the largest over k. A length counts as it is if k + 1 times it is a multiple of
/// the budget. Any other length counts as ⌊(k + 1) · length / budget⌋ / k budgets.
fn rounding_bound(lengths: &[(u64, u64)], budget: u64) -> u64 {
    let Some(&(shortest, _)) = lengths.first() else { return 0 };
    let budget = budget.max(1);
    let most_parts = (budget / shortest.max(1)).clamp(1, MAX_PARTS);
    let bound = |k: u64| {
        let (mut parts, mut exact) = (0u128, 0u128);
        for (length, count) in lengths.iter().copied() {
            let fold = (k + 1) * length;
            if fold.is_multiple_of(budget) {
                exact += u128::from(length * count);
            } else {
                parts += u128::from(fold / budget * count);
            }
        }
        let (k, budget) = (u128::from(k), u128::from(budget));
        u64::try_from((parts * budget + exact * k).div_ceil(k * budget)).unwrap_or(u64::MAX)
    };
    (1..=most_parts).map(bound).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(lengths: &[u32], budget: usize) -> u64 {
        let histogram = lengths.iter().copied().collect();
        lower_bound(&histogram, &PackerOptions::new(budget, budget))
    }

    #[test]
    fn whole_records_bound_what_tokens_do_not() {
        assert_eq!(bound(&[], 10), 0);
        assert_eq!(bound(&[10, 10], 10), 2);
        assert_eq!(bound(&[6, 6, 6], 10), 3, "over half a budget: one each");
        assert_eq!(bound(&[7, 7, 4, 4], 10), 3, "the 4s find no room beside the 7s");
        assert_eq!(bound(&[168; 240], 4096), 10, "24 a batch");
        assert_eq!(bound(&[168; 241], 4096), 11);
        assert_eq!(bound(&[4, 4, 4, 4], 10), 2);
    }

    #[test]
    fn other_limits_bound_too() {
        let histogram: LengthHistogram = [1; 100].into_iter().collect();
        assert_eq!(lower_bound(&histogram, &PackerOptions::new(100, 1).max_sequences(7)), 15);
        assert_eq!(lower_bound(&histogram, &PackerOptions::new(100, 1).max_attention_cost(9)), 12);
    }
}
