//! Launches `product_bytes.cu`: products of int8 rows and weights, with an epilogue.

use super::product::{COLUMNS, ROWS, columns_for, ring_defines};
use crate::DeviceError;
use crate::cuda::bytes::{after_values, padded};
use crate::cuda::epilogue::{ELEMENTWISE, KernelEpilogue, Rotation};
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::arguments;
use crate::cuda::rotary::WIDTHS;
use crate::cuda::tensor_map::TensorMap;
use crate::cuda::{Cuda, CudaMatrix, CudaTensor, CudaVector};

/// A form of the kernel.
#[derive(Clone, Copy, Debug)]
struct BytesForm {
    then: KernelEpilogue,
    /// Whether the result is added to existing values.
    residual: bool,
    /// Outputs of a tile.
    columns: usize,
}

/// Inputs of a step: a line of shared memory.
const STEP: usize = 128;

/// Steps in a block's memory.
const STAGES: usize = 4;

impl BytesForm {
    /// Returns its source.
    fn source(self) -> KernelSource {
        kernel_source!(
            "product_bytes.cu" after "bulk.cuh", "wgmma.cuh", "hopper.cuh", "product_tiles.cuh",
            "product_results.cuh"
        )
        .with_large_shared()
        .define(self.then.defines())
        .define([("RESIDUAL", self.residual.into()), ("COLUMNS", self.columns)])
        .define(ring_defines(STEP, STAGES))
    }

    /// Returns the bytes of shared memory: the ring, half of the results to be stored, scales and biases of
    /// two tiles, barriers.
    fn shared(self) -> usize {
        let ring = STAGES * (ROWS + self.columns) * STEP;
        ring + ROWS * COLUMNS[0] / 2 * size_of::<u16>()
            + 2 * self.columns * 2 * size_of::<u16>()
            + 2 * STAGES * 8
    }
}

/// Returns the sources of all forms of published models.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    COLUMNS.into_iter().flat_map(|columns| {
        let form = move |residual| move |then| BytesForm { then, residual, columns }.source();
        let plain = || [KernelEpilogue::None].into_iter();
        let then = plain().chain(ELEMENTWISE).chain(WIDTHS.map(KernelEpilogue::Rotary));
        then.map(form(false)).chain(plain().map(form(true)))
    })
}

impl Cuda {
    /// Computes the product of bytes and its epilogue into `y`, or adds it to `y` if `residual`.
    #[expect(clippy::too_many_arguments, reason = "operands, epilogue and output of one launch")]
    pub(in crate::cuda) fn product_of_bytes(
        &self,
        then: KernelEpilogue,
        residual: bool,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        rotation: Option<Rotation>,
    ) -> Result<(), DeviceError> {
        Self::check_product(x, weight, bias, y, weight.folded)?;
        Self::check_rotation(weight, then)?;
        self.card.enter()?;
        let (rows, inputs, outputs) = (padded(x.rows), x.columns, weight.rows);
        let columns = columns_for(outputs);
        let form = BytesForm { then, residual, columns };
        // A row of bytes has the memory of a row of 16-bit values; its scale follows its values.
        let pitch = inputs * self.options.dtype.bytes();
        let x_map = TensorMap::of_bytes(x.block.pointer, (rows, inputs), pitch, (ROWS, STEP))?;
        let weight_map =
            TensorMap::of_bytes(weight.memory.pointer, (outputs, inputs), inputs, (columns / 2, STEP))?;
        let [scales, zeros] = after_values(outputs, inputs).map(|after| weight.memory.pointer + after as u64);
        let rotation = rotation.unwrap_or_default();
        let arguments = arguments![
            &x_map,
            &weight_map,
            x.block.pointer + inputs as u64,
            (pitch / size_of::<f32>()) as i32,
            scales,
            bias.map_or(zeros, |bias| bias.rounded.pointer),
            y.block.pointer,
            rows as i32,
            inputs as i32,
            outputs as i32,
            rotation.positions,
            rotation.table,
            rotation.outputs as i32
        ];
        let grid = self.clusters(rows, outputs.div_ceil(columns), form.shared());
        // SAFETY: tensors hold rows up to a multiple of ROW_STEP, and so do positions, which the table has;
        // rows past the batch are computed and never read.
        unsafe { self.kernels.launch(&form.source(), "product_bytes", grid, &arguments) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_room() {
        for columns in COLUMNS {
            let form = BytesForm { then: KernelEpilogue::None, residual: false, columns };
            assert!(form.shared() <= 227 << 10, "{}", form.shared());
        }
    }
}
