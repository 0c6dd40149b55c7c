//! What a model takes on a device: how large its batches may be.

use virpack_device::{Backend, Cpu, Cuda, CudaRoom, DeviceError, Dtype};
use virpack_seq::{
    BudgetLimits, CollatorOptions, Footprint, LengthPolicy, LongRecords, available_memory,
    calculate_token_budget,
};

use virpack_model::ModelShape;

use crate::Error;

/// Most tokens in a batch on a CPU unless asked otherwise: more bring no speed there.
pub const CPU_TOKEN_BUDGET: usize = 4096;

/// Rows of a tile of a product, of which a multiprocessor of a GPU works on one.
const TILE_ROWS: usize = 128;

/// Most values of a tensor `[tokens, hidden]` on a GPU unless asked otherwise: measured, more bring no speed there
/// (dev/cuda.md).
const CUDA_VALUES: usize = 67_584 * 640;

/// Bytes left to the card: kernels are loaded as they are first used, up to 70 MB of them on an H200; layer norms inside
/// products take a word of eight bytes a token.
const CUDA_SPARE: u64 = 128 << 20;

/// Bytes left to the reader, the queues and the writer on a CPU, which take them of the same memory: 12 MB of
/// records that wait to be packed, batches, blocks of text, rows (dev/hostile.md).
const CPU_SPARE: u64 = 24 << 20;

/// The same limits, in tiles of rows for each multiprocessor: a batch of a whole number of them leaves none idle.
const CUDA_TILES: std::ops::RangeInclusive<usize> = 3..=8;

/// Records collected before packing unless asked otherwise: where the token budget is large, as many as make two and a
/// half batches of short peptides (some 50 tokens), as fewer pack worse.
pub(crate) fn buffer_size(token_budget: usize) -> usize {
    CollatorOptions::default().buffer_size.max(token_budget / 20)
}

/// A device that says what models take on it.
pub trait Memory: Backend {
    /// The device, for people.
    fn name(&self) -> String;

    /// The precision it computes in.
    fn dtype(&self) -> Dtype;

    /// What a model takes, with sequences of up to `longest` tokens. `rows`: whether all rows of a batch come
    /// back too, as windows of long records need.
    fn footprint(&self, model: &ModelShape, longest: usize, rows: bool) -> Footprint;

    /// Bytes free for a model that is not loaded yet; None where the system does not say.
    ///
    /// # Errors
    ///
    /// What the device says.
    fn free(&self) -> Result<Option<u64>, DeviceError>;

    /// Bytes of that memory that reader, queues and writer take.
    fn spare(&self) -> u64 {
        0
    }

    /// Tokens in a batch of which more bring no speed.
    fn most_tokens(&self, model: &ModelShape) -> usize;

    /// Takes the memory of all batches to come, of up to `token_budget` tokens in `sequences` sequences.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OutOfMemory`]; nothing is held then.
    fn reserve(
        &self,
        model: &ModelShape,
        token_budget: usize,
        sequences: usize,
        rows: bool,
    ) -> Result<(), DeviceError>;
}

/// Most values of a batch whose rows all come back: a handful of such batches wait in memory, 128 MiB each.
const MOST_VALUES: usize = 1 << 25;

/// The token budget for a model on a device: `asked`, or what fits the free memory and helps. With `all_rows` every
/// token's row comes back, and not only those of windows.
///
/// # Errors
///
/// Where not even the longest sequence fits, and what the device says.
pub fn token_budget<B: Memory>(
    backend: &B,
    model: &ModelShape,
    lengths: &LengthPolicy,
    all_rows: bool,
    asked: Option<usize>,
) -> Result<usize, Error> {
    if let Some(asked) = asked {
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
    let footprint = backend.footprint(model, longest, all_rows || windows(lengths));
    let budget = calculate_token_budget(free, &beside(footprint, backend.spare()), &limits)?;
    Ok(if all_rows { budget.min((MOST_VALUES / model.hidden.max(1)).max(longest)) } else { budget })
}

/// What a model takes, with `spare` bytes for the rest of the process.
fn beside(footprint: Footprint, spare: u64) -> Footprint {
    Footprint { workspace: footprint.workspace.saturating_add(spare), ..footprint }
}

/// Takes the memory of all batches to come. Where the device has less than that, half the budget is tried, and half
/// of that, down to the longest sequence. Gives the budget there is room for.
///
/// # Errors
///
/// [`DeviceError::OutOfMemory`] where not even the longest sequence has room, and what else the device says.
pub fn reserve<B: Memory>(
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

impl Memory for Cpu {
    fn name(&self) -> String {
        format!("CPU, {} threads, {}", self.threads(), self.instructions())
    }

    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn footprint(&self, model: &ModelShape, longest: usize, _: bool) -> Footprint {
        let values = size_of::<f32>() as u64;
        Footprint {
            weights: (model.matrices.iter().sum::<u64>() + model.vector_values) * values,
            workspace: self.workspace(&model.products, longest, model.head_width),
            bytes_per_token: model.widths.iter().sum::<usize>() as u64 * values,
            bytes_per_sequence: model.hidden as u64 * values,
        }
    }

    fn free(&self) -> Result<Option<u64>, DeviceError> {
        Ok(available_memory())
    }

    fn spare(&self) -> u64 {
        CPU_SPARE
    }

    fn most_tokens(&self, _: &ModelShape) -> usize {
        CPU_TOKEN_BUDGET
    }

    /// Memory comes as it is asked for.
    fn reserve(&self, _: &ModelShape, _: usize, _: usize, _: bool) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// What `model` needs of the arena for batches of so many tokens and sequences.
fn room(model: &ModelShape, token_budget: usize, sequences: usize, rows: bool) -> CudaRoom {
    CudaRoom { token_budget, sequences, widths: model.widths.clone(), hidden: model.hidden, rows }
}

impl Memory for Cuda {
    fn name(&self) -> String {
        format!("cuda:{} {}, {}", self.ordinal(), Cuda::name(self), self.options().dtype)
    }

    fn dtype(&self) -> Dtype {
        self.options().dtype
    }

    fn footprint(&self, model: &ModelShape, _: usize, rows: bool) -> Footprint {
        let dtype = self.options().dtype;
        // The arena is linear but for its roundings: read off a large one.
        const MANY: usize = 1 << 20;
        let bytes = |tokens, sequences| room(model, tokens, sequences, rows).bytes(dtype) as u64;
        Footprint {
            weights: self.weight_bytes(&model.matrices, model.vector_values),
            workspace: 0,
            bytes_per_token: bytes(MANY, 0).div_ceil(MANY as u64),
            bytes_per_sequence: (bytes(0, MANY) - bytes(0, 0)).div_ceil(MANY as u64),
        }
    }

    fn free(&self) -> Result<Option<u64>, DeviceError> {
        Ok(Some((self.memory()?.0 as u64).saturating_sub(CUDA_SPARE)))
    }

    fn most_tokens(&self, model: &ModelShape) -> usize {
        let rows = TILE_ROWS * self.multiprocessors();
        let tiles = (CUDA_VALUES / model.hidden.max(1) + rows / 2) / rows;
        rows * tiles.clamp(*CUDA_TILES.start(), *CUDA_TILES.end())
    }

    fn reserve(
        &self,
        model: &ModelShape,
        token_budget: usize,
        sequences: usize,
        rows: bool,
    ) -> Result<(), DeviceError> {
        Cuda::reserve(self, &room(model, token_budget, sequences, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_seq::Hint;

    /// The 8M model: 30 MB of weights, 8 kB a token.
    #[test]
    fn a_small_control_group_leaves_room_for_reader_and_writer() {
        let footprint = Footprint {
            weights: 30_000_000,
            workspace: 1_000_000,
            bytes_per_token: 7_680,
            bytes_per_sequence: 1_280,
        };
        let limits = BudgetLimits { min: 1_024, max: CPU_TOKEN_BUDGET, shortest: 3 };
        let budget = |available| calculate_token_budget(available, &beside(footprint, CPU_SPARE), &limits);
        // It was killed with 60 MB: its batches took all that the weights left.
        let error = budget(60_000_000).unwrap_err();
        assert!(error.to_string().contains("60.0 MB of free memory"), "{error}");
        assert!(error.hint().unwrap().contains("64."), "{error:?}");
        let tokens = budget(80_000_000).unwrap() as u64;
        assert!((1_024..4_096).contains(&tokens), "{tokens}");
        assert!(footprint.bytes(tokens, tokens / 3) + CPU_SPARE <= 80_000_000);
        assert_eq!(budget(1_000_000_000).unwrap(), CPU_TOKEN_BUDGET);
    }
}
