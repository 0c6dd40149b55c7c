//! What a model takes on a device: how large its batches may be.

use virpack_device::{Device, DeviceError, MemoryLimit, ModelFootprint, ModelShape};
use virpack_seq::{
    BudgetLimits, CollatorOptions, Footprint, LengthPolicy, LongRecords, SeqError, calculate_token_budget,
};

use crate::Error;
use crate::options::TokenBudget;

/// Records collected before packing unless asked otherwise: where the token budget is large, as many as make two and a
/// half batches of short proteins (some 50 tokens), as fewer pack worse.
pub(crate) fn buffer_size(token_budget: usize) -> usize {
    CollatorOptions::default().buffer_size.max(token_budget / 20)
}

/// Most values of a batch whose rows all come back: a handful of such batches wait in memory, 128 MiB each.
const MOST_VALUES: usize = 1 << 25;

/// Returns the token budget for a model on a device: `asked`, or what fits the free memory and helps. With
/// `all_rows` every token's row comes back, and not only those of windows.
///
/// # Errors
///
/// [`SeqError::NotEnoughMemory`] if not even the longest sequence fits, and the errors of the device.
pub fn token_budget<B: Device>(
    backend: &B,
    model: &ModelShape,
    lengths: &LengthPolicy,
    all_rows: bool,
    asked: TokenBudget,
) -> Result<usize, Error> {
    if let TokenBudget::Tokens(asked) = asked {
        return Ok(asked);
    }
    let longest = lengths.max_tokens();
    let most = backend.most_tokens(model);
    let limits = BudgetLimits {
        max: longest.checked_next_multiple_of(128).unwrap_or(usize::MAX).max(most),
        min: longest,
        shortest: shortest(lengths),
    };
    let free = backend.free()?.unwrap_or(u64::MAX);
    let model_footprint = backend.footprint(model, longest, all_rows || windows(lengths));
    let budget = calculate_token_budget(free, &footprint(model_footprint, backend.spare()), &limits);
    let budget = budget.map_err(|error| within_limit(error, backend))?;
    Ok(if all_rows { budget.min((MOST_VALUES / model.hidden.max(1)).max(longest)) } else { budget })
}

/// Adds the limit that leaves too little memory to the error.
fn within_limit<B: Device>(mut error: SeqError, backend: &B) -> SeqError {
    if let SeqError::NotEnoughMemory { limit, .. } = &mut error {
        *limit = backend.memory_limit().map(MemoryLimit::as_str);
    }
    error
}

/// Returns the memory that a model needs on a device, with `spare` bytes for the rest of the process, in the
/// form that [`calculate_token_budget`] takes.
pub fn footprint(model: ModelFootprint, spare: u64) -> Footprint {
    let ModelFootprint { weights, workspace, bytes_per_token, bytes_per_sequence } = model;
    Footprint { weights, workspace: workspace.saturating_add(spare), bytes_per_token, bytes_per_sequence }
}

/// Takes the memory of all batches to come. Where the device has less than that, half the budget is tried, and half
/// of that, down to the longest sequence. Gives the budget there is room for.
///
/// # Errors
///
/// [`DeviceError::OutOfMemory`] where not even the longest sequence has room, and what else the device says.
pub fn reserve<B: Device>(
    backend: &B,
    model: &ModelShape,
    lengths: &LengthPolicy,
    all_rows: bool,
    token_budget: usize,
) -> Result<usize, Error> {
    let mut budget = token_budget;
    loop {
        let sequences = budget / shortest(lengths) + 1;
        match backend.reserve(model, budget, sequences, all_rows || windows(lengths)) {
            Err(DeviceError::OutOfMemory { .. }) if budget > lengths.max_tokens() => {
                budget = (budget / 2).max(lengths.max_tokens());
            }
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(budget),
        }
    }
}

/// Tokens of the shortest sequence that may come.
fn shortest(lengths: &LengthPolicy) -> usize {
    lengths.min_length.max(1) + 2
}

fn windows(lengths: &LengthPolicy) -> bool {
    matches!(lengths.long_records, LongRecords::Window { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_device::{CPU_TOKEN_BUDGET, Cpu};
    use virpack_seq::Hint;

    /// The 8M model: 30 MB of weights, 8 kB a token.
    #[test]
    fn a_small_control_group_leaves_room_for_reader_and_writer() {
        let model = ModelFootprint {
            weights: 30_000_000,
            workspace: 1_000_000,
            bytes_per_token: 7_680,
            bytes_per_sequence: 1_280,
        };
        let limits = BudgetLimits { min: 1_024, max: CPU_TOKEN_BUDGET, shortest: 3 };
        let spare = Cpu::new(std::num::NonZeroUsize::new(1)).unwrap().spare();
        let budget = |available| calculate_token_budget(available, &footprint(model, spare), &limits);
        // It was killed with 60 MB: its batches took all that the weights left.
        let error = budget(60_000_000).unwrap_err();
        assert!(error.to_string().contains("60.0 MB of free memory"), "{error}");
        assert!(error.hint().unwrap().contains("64."), "{error:?}");
        let tokens = budget(80_000_000).unwrap() as u64;
        assert!((1_024..4_096).contains(&tokens), "{tokens}");
        assert!(footprint(model, spare).bytes(tokens, tokens / 3) <= 80_000_000);
        assert_eq!(budget(1_000_000_000).unwrap(), CPU_TOKEN_BUDGET);
    }
}
