//! The launcher of the own product of compute capability 9.0, for products whose result is worked on further.

use super::compile::Source;
use super::kernels::{Grid, arguments};
use super::normed_product::Taken;
use super::packed::CudaPacked;
use super::tensor_map::TensorMap;
use super::{Cuda, CudaMatrix, CudaTensor, CudaVector, ROW_STEP};
use crate::{Attention, DeviceError};

/// A form of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProductForm {
    finish: Finish,
    /// Whether a layer norm goes before, folded into weight and bias (`normed_product.rs`).
    normed: bool,
}

/// What follows a product, before its result is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Finish {
    /// Nothing.
    Nothing,
    /// GELU.
    Gelu,
    /// Rotary positions on heads of this width.
    Rotary(usize),
}

/// Head widths that a thread's own values can be rotated for.
pub(super) const WIDTHS: [usize; 4] = [16, 32, 64, 128];

/// Rows and outputs of a block's tile (a cluster of two has `ROW_STEP` rows), inputs of a step, steps in its memory.
const ROWS: usize = ROW_STEP / 2;
const COLUMNS: usize = 256;
const STEP: usize = 64;
const STAGES: usize = 4;

/// Two warpgroups that multiply and one that copies.
const THREADS: u32 = 384;

/// Bytes of shared memory: the ring, half of the sums on their way out, biases of the tiles in flight, barriers.
const SHARED: usize =
    (STAGES * (ROWS + COLUMNS) * STEP + ROWS * COLUMNS / 2 + (STAGES + 1) * COLUMNS) * 2 + 2 * STAGES * 8;

impl Finish {
    /// The compiler's GELU and WIDTH.
    pub(super) fn definitions(self) -> (usize, usize) {
        match self {
            Finish::Nothing => (0, 0),
            Finish::Gelu => (1, 0),
            Finish::Rotary(width) => (0, width),
        }
    }
}

impl ProductForm {
    /// The compiler's definitions.
    pub(super) fn definitions(self) -> [(&'static str, usize); 3] {
        let (gelu, width) = self.finish.definitions();
        [("GELU", gelu), ("WIDTH", width), ("NORMED", self.normed.into())]
    }
}

/// Every form of the kernel that is used: with nothing around it cuBLASLt's is faster.
pub(super) fn sources() -> impl Iterator<Item = Source> {
    let form = |normed| move |finish| Source::Product(ProductForm { finish, normed });
    let finishes = || std::iter::once(Finish::Gelu).chain(WIDTHS.map(Finish::Rotary));
    finishes().map(form(false)).chain(finishes().chain([Finish::Nothing]).map(form(true)))
}

/// Rotary positions on the card.
#[derive(Debug, Default)]
pub(super) struct Turns {
    pub(super) positions: u64,
    pub(super) table: u64,
    /// Outputs that are turned: queries and keys.
    pub(super) outputs: usize,
}

impl Cuda {
    /// Whether this card and dtype have products of their own.
    pub(super) fn has_products(&self) -> bool {
        self.bulk_copies && !self.options.dtype.is_float32()
    }

    /// Whether there is one for these sizes: rows of a multiple of 16 bytes, as bulk copies ask for.
    pub(super) fn has_product(&self, outputs: usize, inputs: usize) -> bool {
        self.has_products() && outputs.is_multiple_of(8) && inputs.is_multiple_of(8) && inputs > 0
    }

    /// `x · weightᵀ + bias` with queries and keys rotated in one kernel, or None where there is none for it.
    pub(super) fn rotating_product(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<Option<CudaTensor>, DeviceError> {
        if weight.pairs {
            return self.pairs_rotary(x, weight, bias, packed, attention);
        }
        match bias.filter(|_| self.has_product(weight.rows, weight.columns)) {
            Some(bias) => self.fused_rotary(None, x, weight, bias, packed, attention),
            None => Ok(None),
        }
    }

    /// The product, of rows that are `normed` with such an `eps`, with queries and keys rotated, or None where heads
    /// of their width cannot be.
    pub(super) fn fused_rotary(
        &self,
        normed: Option<f32>,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: &CudaVector,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<Option<CudaTensor>, DeviceError> {
        match self.turns(x.rows, weight.rows, packed, attention)? {
            Some((width, turns)) => {
                self.fused(Finish::Rotary(width), normed, x, weight, bias, Some(turns)).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Clusters of two blocks that share out the tiles of a product: as many as the card runs at once.
    pub(super) fn clusters(&self, rows: usize, column_tiles: usize, shared: usize) -> Grid {
        let clusters = (rows / ROW_STEP * column_tiles).min(self.card.processors / 2).max(1);
        Grid { blocks: (2 * clusters, 1), threads: THREADS, shared }
    }

    /// The width of a head and its rotary positions, or None where a thread's own values cannot be rotated.
    pub(super) fn turns(
        &self,
        rows: usize,
        outputs: usize,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<Option<(usize, Turns)>, DeviceError> {
        let width = Self::check_heads(rows, outputs, packed, attention.heads)?.1;
        if !WIDTHS.contains(&width) {
            return Ok(None);
        }
        let table = self.rotary_table(width, packed.longest, &attention.rotary_frequencies)?;
        let turns = Turns { positions: packed.positions(), table: table.pointer, outputs: outputs / 3 * 2 };
        Ok(Some((width, turns)))
    }

    /// The product and what follows, of rows that are `normed` with such an `eps` where the weight is folded.
    pub(super) fn fused(
        &self,
        finish: Finish,
        normed: Option<f32>,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: &CudaVector,
        turns: Option<Turns>,
    ) -> Result<CudaTensor, DeviceError> {
        let y = self.tensor(x.rows, weight.rows)?;
        Self::check_product(x, weight, Some(bias), &y, normed.is_some())?;
        self.card.enter()?;
        let (rows, inputs, outputs) = (x.rows.next_multiple_of(ROW_STEP), x.columns, weight.rows);
        let map = |pointer, rows, boxed| {
            TensorMap::new(self.options.dtype, pointer, (rows, inputs), inputs, (boxed, STEP))
        };
        let (x_map, weight_map) =
            (map(x.block.pointer, rows, ROWS)?, map(weight.memory.pointer, outputs, COLUMNS / 2)?);
        let turns = turns.unwrap_or_default();
        // Held until the launch is given to the stream: launches that use them are numbered in its order.
        let scales = normed.map(|_| self.take_scales(rows)).transpose()?;
        let (words, counters, launch) = scales.as_ref().map_or((0, 0, 0), Taken::arguments);
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
            turns.outputs as i32,
            x.block.pointer,
            words,
            counters,
            launch,
            normed.unwrap_or(0.0)
        ];
        let grid = self.clusters(rows, outputs.div_ceil(COLUMNS), SHARED);
        let source = Source::Product(ProductForm { finish, normed: normed.is_some() });
        // SAFETY: tensors hold rows up to a multiple of ROW_STEP, and so do scales and positions, which the table has; rows
        // past the batch are computed and never read.
        unsafe { self.kernels.launch(source, "product", grid, &arguments)? };
        if let Some(scales) = scales {
            scales.launched();
        }
        Ok(y)
    }
}
