//! The launcher of the own product of compute capability 9.0, for products whose result is worked on further.

use super::compile::Source;
use super::kernels::{Grid, arguments};
use super::normed_product::Taken;
use super::rotary::{self, Turns};
use super::tensor_map::TensorMap;
use super::{Cuda, CudaMatrix, CudaTensor, CudaVector, ROW_STEP};
use crate::DeviceError;

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
    let normed = [Finish::Gelu, Finish::Nothing].into_iter().chain(rotary::WIDTHS.map(Finish::Rotary));
    [Finish::Gelu].into_iter().map(form(false)).chain(normed.map(form(true)))
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

    /// Clusters of two blocks that share out the tiles of a product: as many as the card runs at once.
    pub(super) fn clusters(&self, rows: usize, column_tiles: usize, shared: usize) -> Grid {
        let clusters = (rows / ROW_STEP * column_tiles).min(self.card.processors / 2).max(1);
        Grid { blocks: (2 * clusters, 1), threads: THREADS, shared }
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
        Self::check_rotation(weight, finish)?;
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
