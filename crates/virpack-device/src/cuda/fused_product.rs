//! The launcher of the own product of compute capability 9.0, for products whose result is worked on further.

use super::compile::Source;
use super::kernels::{Grid, arguments};
use super::packed::CudaPacked;
use super::tensor_map::TensorMap;
use super::{Cuda, CudaMatrix, CudaTensor, CudaVector, Dtype, ROW_STEP};
use crate::{Attention, DeviceError};

/// What follows a product, before its result is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Finish {
    /// GELU.
    Gelu,
    /// Rotary positions on heads of this width.
    Rotary(usize),
}

/// Head widths that a thread's own values can be rotated for.
const WIDTHS: [usize; 4] = [16, 32, 64, 128];

/// Rows and outputs of a block's tile (a cluster of two has `ROW_STEP` rows), inputs of a step, steps in its memory.
const ROWS: usize = ROW_STEP / 2;
const COLUMNS: usize = 256;
const STEP: usize = 64;
const STAGES: usize = 4;

const THREADS: u32 = 384;

/// Bytes of shared memory: the ring, half of the sums on their way out, biases of the tiles in flight, barriers.
const SHARED: usize =
    (STAGES * (ROWS + COLUMNS) * STEP + ROWS * COLUMNS / 2 + (STAGES + 1) * COLUMNS) * 2 + 2 * STAGES * 8;

impl Finish {
    /// The compiler's definitions.
    pub(super) fn definitions(self) -> [(&'static str, usize); 2] {
        match self {
            Finish::Gelu => [("GELU", 1), ("WIDTH", 0)],
            Finish::Rotary(width) => [("GELU", 0), ("WIDTH", width)],
        }
    }
}

/// Every form of the kernel.
pub(super) fn sources() -> impl Iterator<Item = Source> {
    std::iter::once(Finish::Gelu).chain(WIDTHS.map(Finish::Rotary)).map(Source::Product)
}

/// Rotary positions on the card.
struct Turns {
    positions: u64,
    table: u64,
    /// Outputs that are turned: queries and keys.
    outputs: usize,
}

impl Cuda {
    /// Whether this card, dtype and shape have a product of their own.
    fn fuses(&self, weight: &CudaMatrix, finish: Finish) -> bool {
        // Rows of a multiple of 16 bytes, as bulk copies ask for.
        let whole = weight.rows.is_multiple_of(8) && weight.columns.is_multiple_of(8) && weight.columns > 0;
        let able = match finish {
            Finish::Gelu => true,
            Finish::Rotary(width) => WIDTHS.contains(&width),
        };
        self.bulk_copies && self.options.dtype != Dtype::F32 && whole && able
    }

    /// `gelu(x · weightᵀ + bias)` in one kernel, or None where there is none for it.
    pub(super) fn fused_gelu(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
    ) -> Result<Option<CudaTensor>, DeviceError> {
        let Some(bias) = bias.filter(|_| self.fuses(weight, Finish::Gelu)) else { return Ok(None) };
        self.fused(Finish::Gelu, x, weight, bias, None).map(Some)
    }

    /// `x · weightᵀ + bias` with queries and keys rotated in one kernel, or None where there is none for it.
    pub(super) fn fused_rotary(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<Option<CudaTensor>, DeviceError> {
        let width = Self::check_heads(x.rows, weight.rows, packed, attention.heads)?.1;
        let Some(bias) = bias.filter(|_| self.fuses(weight, Finish::Rotary(width))) else { return Ok(None) };
        let table = self.rotary_table(width, packed.longest, &attention.rotary_frequencies)?;
        let outputs = weight.rows / 3 * 2;
        let turns = Turns { positions: packed.positions(), table: table.pointer, outputs };
        self.fused(Finish::Rotary(width), x, weight, bias, Some(turns)).map(Some)
    }

    fn fused(
        &self,
        finish: Finish,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: &CudaVector,
        turns: Option<Turns>,
    ) -> Result<CudaTensor, DeviceError> {
        let y = self.tensor(x.rows, weight.rows)?;
        Self::check_product(x, weight, Some(bias), &y)?;
        self.card.enter()?;
        let (rows, inputs, outputs) = (x.rows.next_multiple_of(ROW_STEP), x.columns, weight.rows);
        let map = |pointer, rows, boxed| {
            TensorMap::new(self.options.dtype, pointer, (rows, inputs), inputs, (boxed, STEP))
        };
        let (x_map, weight_map) =
            (map(x.block.pointer, rows, ROWS)?, map(weight.memory.pointer, outputs, COLUMNS / 2)?);
        let turns = turns.unwrap_or(Turns { positions: 0, table: 0, outputs: 0 });
        let arguments = arguments![
            &x_map,
            &weight_map,
            bias.rounded.pointer,
            y.block.pointer,
            rows as i32,
            inputs as i32,
            outputs as i32,
            turns.positions,
            turns.table,
            turns.outputs as i32
        ];
        let tiles = rows / ROW_STEP * outputs.div_ceil(COLUMNS);
        let clusters = tiles.min(self.card.processors / 2).max(1);
        let grid = Grid { blocks: (2 * clusters, 1), threads: THREADS, shared: SHARED };
        // SAFETY: tensors hold rows up to a multiple of ROW_STEP, and so do positions, which the table has; rows past
        // the batch are computed and never read.
        unsafe { self.kernels.launch(Source::Product(finish), "product", grid, &arguments)? };
        Ok(y)
    }
}
