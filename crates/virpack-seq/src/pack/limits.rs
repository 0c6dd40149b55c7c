//! What a batch can still take, under all limits at once.

use super::PackerOptions;

/// The limits of a batch, in the form that the placing loops need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    fresh: OpenBatch,
    longest: u32,
}

/// What one batch can still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenBatch {
    tokens: u32,
    sequences: u32,
    cost: u64,
}

/// Means "no limit"; no batch of fewer than 2^31 tokens reaches it.
const NO_COST: u64 = u64::MAX;

impl Limits {
    pub(super) fn new(token_budget: u32, max_sequences: Option<usize>, max_cost: Option<u64>) -> Self {
        let sequences = max_sequences.map_or(u32::MAX, |most| u32::try_from(most).unwrap_or(u32::MAX));
        let fresh = OpenBatch { tokens: token_budget, sequences, cost: max_cost.unwrap_or(NO_COST) };
        Limits { fresh, longest: fresh.room() }
    }

    /// Returns an empty batch.
    pub(super) fn fresh(&self) -> OpenBatch {
        self.fresh
    }

    /// Returns the longest sequence that an empty batch takes.
    pub(super) fn longest(&self) -> u32 {
        self.longest
    }
}

impl OpenBatch {
    /// Takes as many as possible of `count` sequences of `length` tokens, and returns their number.
    #[inline]
    pub(super) fn take(&mut self, length: u32, count: u32) -> u32 {
        let mut taken = count.min(self.sequences);
        if u64::from(taken) * u64::from(length) > u64::from(self.tokens) {
            taken = self.tokens / length;
        }
        if self.cost != NO_COST {
            let each = u64::from(length) * u64::from(length);
            taken = taken.min(u32::try_from(self.cost / each).unwrap_or(u32::MAX));
            self.cost -= u64::from(taken) * each;
        }
        self.tokens -= taken * length;
        self.sequences -= taken;
        taken
    }

    /// Returns the longest sequence that it can take; 0 if it is full.
    #[inline]
    pub(super) fn room(&self) -> u32 {
        if self.sequences == 0 {
            return 0;
        }
        if self.cost == NO_COST {
            return self.tokens;
        }
        self.tokens.min(u32::try_from(self.cost.isqrt()).unwrap_or(u32::MAX))
    }
}

/// Returns whether an option other than the token budget limits a batch.
pub(super) fn has_other_limits(options: &PackerOptions) -> bool {
    options.max_sequences.is_some() || options.max_attention_cost.is_some()
}
