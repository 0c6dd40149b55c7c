//! The properties of a card, and the memory that models take on it.

use super::Cuda;
use super::arena_plan::ArenaPlan;
use crate::{Device, DeviceError, Dtype, ModelFootprint, ModelShape, Unavailable};

/// Rows of a tile of a product. A multiprocessor works on one tile at a time.
const TILE_ROWS: usize = 128;

/// The most values of a tensor `[tokens, hidden]` on a GPU by default. More were measured to bring no speed
/// (dev/cuda.md).
const CUDA_VALUES: usize = 135_168 * 480;

/// The same, in tiles of rows for each multiprocessor. A batch of a whole number of them leaves none idle.
const CUDA_TILES: std::ops::RangeInclusive<usize> = 3..=8;

/// Bytes left free on the card. Kernels are loaded at first use, up to 70 MB of them on an H200; layer norms
/// inside products take eight bytes for each token.
const CUDA_SPARE: u64 = 128 << 20;

/// Returns what `model` needs from the arena, for batches of this many tokens and sequences.
fn plan(model: &ModelShape, token_budget: usize, sequences: usize, rows: bool) -> ArenaPlan {
    let ModelShape { hidden, pooled, .. } = *model;
    ArenaPlan { token_budget, sequences, widths: model.widths.clone(), hidden, pooled, rows }
}

impl Device for Cuda {
    fn name(&self) -> String {
        let older = self.translated().map(|kernels| format!(", {kernels}")).unwrap_or_default();
        format!("cuda:{} {}, {}{older}", self.card.ordinal, self.card.name, self.options.dtype)
    }

    fn dtype(&self) -> Dtype {
        self.options.dtype
    }

    fn ordinal(&self) -> Option<usize> {
        Some(self.card.ordinal)
    }

    /// Opens the card again, with a stream and an arena of its own.
    fn beside(&self) -> Result<Option<Cuda>, Unavailable> {
        Cuda::new(self.card.ordinal, self.options).map(Some)
    }

    fn footprint(&self, model: &ModelShape, _: usize, rows: bool) -> ModelFootprint {
        let dtype = self.options.dtype;
        // The arena is linear, apart from rounding: the slope is read off a large one.
        const MANY: usize = 1 << 20;
        let bytes = |tokens, sequences| plan(model, tokens, sequences, rows).bytes(dtype) as u64;
        ModelFootprint {
            weights: self.weight_bytes(model),
            workspace: 0,
            bytes_per_token: bytes(MANY, 0).div_ceil(MANY as u64),
            bytes_per_sequence: (bytes(0, MANY) - bytes(0, 0)).div_ceil(MANY as u64),
        }
    }

    fn free(&self) -> Result<Option<u64>, DeviceError> {
        Ok(Some((self.memory()?.0 as u64).saturating_sub(CUDA_SPARE)))
    }

    fn most_tokens(&self, model: &ModelShape) -> usize {
        let rows = TILE_ROWS * self.card.processors;
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
        self.lay_out(&plan(model, token_budget, sequences, rows))
    }
}
