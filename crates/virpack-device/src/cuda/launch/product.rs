//! Launches `product.cu`: virpack's own product for compute capability 9.0, with an epilogue.

use crate::cuda::epilogue::{ELEMENTWISE, KernelEpilogue, Rotation};
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, WARPGROUP, arguments};
use crate::cuda::rotary::WIDTHS;
use crate::cuda::row_scales::RowScaleSlot;
use crate::cuda::tensor_map::TensorMap;
use crate::cuda::{Cuda, CudaTensor, ROW_STEP};
use crate::{DeviceError, Linear, LinearOf};

/// A form of the kernel.
#[derive(Clone, Copy, Debug)]
struct ProductForm {
    then: KernelEpilogue,
    /// Outputs of a tile.
    columns: usize,
    /// Products of 16 inputs in the last step.
    tail: usize,
    /// Whether a layer norm precedes it, folded into weight and bias (`norm.cu`).
    normed: bool,
}

/// Rows of a block's tile (a cluster of two has `ROW_STEP`), and inputs of a step of 16-bit products.
pub(super) const ROWS: usize = ROW_STEP / 2;
pub(super) const STEP: usize = 64;

/// Inputs of one product of 16-bit values on the tensor cores.
const INPUTS: usize = 16;

/// Outputs of a tile, and steps in a block's memory.
pub(super) const COLUMNS: [usize; 2] = [256, 240];
const STAGES: usize = 4;

/// Tiles whose biases are in memory at once: those in flight, and the one before them.
const BIASES: usize = STAGES + 1;

/// Two warpgroups multiply and one copies.
const THREADS: u32 = 3 * WARPGROUP;

/// Returns the numbers that all products are compiled with, for a ring of `stages` stages of `step` inputs.
pub(super) fn ring_defines(step: usize, stages: usize) -> [(&'static str, usize); 5] {
    let (threads, warpgroup) = (THREADS as usize, WARPGROUP as usize);
    [("ROWS", ROWS), ("STEP", step), ("STAGES", stages), ("THREADS", threads), ("WARPGROUP", warpgroup)]
}

impl ProductForm {
    /// Returns its source.
    fn source(self) -> KernelSource {
        kernel_source!(
            "product.cu" after "bulk.cuh", "wgmma.cuh", "hopper.cuh", "product_tiles.cuh",
            "product_results.cuh", "row_scales.cuh"
        )
        .with_large_shared()
        .define(self.then.defines())
        .define([("COLUMNS", self.columns), ("TAIL", self.tail), ("NORMED", self.normed.into())])
        .define([("BIASES", BIASES)])
        .define(ring_defines(STEP, STAGES))
    }

    /// Returns the bytes of shared memory: the ring, half of the sums to be stored, biases of the tiles in
    /// flight, barriers.
    fn shared(self) -> usize {
        let ring = STAGES * (ROWS + self.columns) * STEP;
        (ring + ROWS * COLUMNS[0] / 2 + BIASES * self.columns) * 2 + 2 * STAGES * 8
    }
}

/// Returns the outputs of a tile that leave the least of the last tile empty.
pub(super) fn columns_for(outputs: usize) -> usize {
    let computed = |columns: &usize| outputs.next_multiple_of(*columns);
    COLUMNS.into_iter().min_by_key(computed).expect("there are two")
}

/// Returns the products of 16 inputs that the last step of a product has.
fn tail_for(inputs: usize) -> usize {
    match inputs % STEP {
        0 => STEP / INPUTS,
        rest => rest.div_ceil(INPUTS),
    }
}

/// Returns the sources of all forms of published models. Without norm and epilogue cuBLASLt's product is
/// faster.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    let form = |normed, columns, tail| move |then| ProductForm { then, columns, tail, normed }.source();
    let normed =
        || ELEMENTWISE.into_iter().chain([KernelEpilogue::None]).chain(WIDTHS.map(KernelEpilogue::Rotary));
    // Only 35M, whose tiles have 240 outputs, has a last step that is not full.
    let tiles = COLUMNS.map(|columns| (columns, tail_for(0))).into_iter().chain([(240, tail_for(480))]);
    tiles.flat_map(move |(columns, tail)| {
        ELEMENTWISE.into_iter().map(form(false, columns, tail)).chain(normed().map(form(true, columns, tail)))
    })
}

impl Cuda {
    /// Returns whether this card and dtype have products of virpack's own.
    pub(in crate::cuda) fn has_products(&self) -> bool {
        self.bulk_copies && !self.options.dtype.is_float32()
    }

    /// Returns whether there is one for these sizes. Rows must be a multiple of 16 bytes, which bulk copies
    /// require.
    pub(in crate::cuda) fn has_product(&self, outputs: usize, inputs: usize) -> bool {
        self.has_products() && outputs.is_multiple_of(8) && inputs.is_multiple_of(8) && inputs > 0
    }

    /// Returns the grid of clusters, of two blocks each, that share the tiles of a product: as many as the
    /// card runs at once.
    pub(super) fn clusters(&self, rows: usize, column_tiles: usize, shared: usize) -> Grid {
        let clusters = (rows / ROW_STEP * column_tiles).min(self.card.processors / 2).max(1);
        Grid { blocks: (2 * clusters, 1), threads: THREADS, shared }
    }

    /// Computes the product and its epilogue. If a norm is folded into the weight, it norms the rows.
    pub(in crate::cuda) fn fused(
        &self,
        then: KernelEpilogue,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        rotation: Option<Rotation>,
    ) -> Result<CudaTensor, DeviceError> {
        let Linear { norm, weight, bias } = layer;
        let bias = bias.as_ref().ok_or_else(|| DeviceError::shape("linear", "a bias", "none"))?;
        let normed = norm.as_ref().filter(|_| weight.folded).map(|norm| norm.eps);
        let x = self.plain(x)?;
        let y = self.tensor(x.rows, weight.rows)?;
        Self::check_product(&x, weight, Some(bias), &y, normed.is_some())?;
        Self::check_rotation(weight, then)?;
        self.card.enter()?;
        let (rows, inputs, outputs) = (x.rows.next_multiple_of(ROW_STEP), x.columns, weight.rows);
        let columns = columns_for(outputs);
        let form = ProductForm { then, columns, tail: tail_for(inputs), normed: normed.is_some() };
        let map = |pointer, rows, boxed| {
            TensorMap::new(self.options.dtype, pointer, (rows, inputs), inputs, (boxed, STEP))
        };
        let (x_map, weight_map) =
            (map(x.block.pointer, rows, ROWS)?, map(weight.memory.pointer, outputs, columns / 2)?);
        let rotation = rotation.unwrap_or_default();
        // Held until the launch is submitted to the stream, because the launches that use scales are numbered
        // in its order.
        let scales = normed.map(|_| self.take_scales(rows)).transpose()?;
        let (words, counters, launch) = scales.as_ref().map_or((0, 0, 0), RowScaleSlot::arguments);
        let arguments = arguments![
            &x_map,
            &weight_map,
            bias.rounded.pointer,
            y.block.pointer,
            rows as i32,
            inputs as i32,
            outputs as i32,
            rotation.positions,
            rotation.table,
            rotation.outputs as i32,
            x.block.pointer,
            words,
            counters,
            launch,
            normed.unwrap_or(0.0)
        ];
        let grid = self.clusters(rows, outputs.div_ceil(columns), form.shared());
        // SAFETY: tensors hold rows up to a multiple of ROW_STEP, and so do scales and positions, which the table has; rows
        // past the batch are computed and never read.
        unsafe { self.kernels.launch(&form.source(), "product", grid, &arguments)? };
        if let Some(scales) = scales {
            scales.launched();
        }
        Ok(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_has_products_for_its_inputs_alone() {
        assert_eq!([8, 16, 24, 40, 56, 64, 320, 480, 1288].map(tail_for), [1, 1, 2, 3, 4, 4, 4, 2, 1]);
    }

    #[test]
    fn tiles_leave_as_little_empty_as_they_can() {
        // Queries, keys and values, and the first product of the feed-forward layer, of 8M to 15B.
        let products = [960, 1280, 1440, 1920, 1920, 2560, 3840, 5120, 7680, 10_240, 15_360, 20_480];
        let columns = products.map(columns_for);
        assert_eq!(columns, [240, 256, 240, 240, 240, 256, 256, 256, 256, 256, 256, 256]);
        assert!(COLUMNS.into_iter().all(|columns| columns <= COLUMNS[0]));
    }
}
