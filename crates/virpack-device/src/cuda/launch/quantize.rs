//! Launches the kernels of `quantize.cu`: rows of activations and weights as int8, and back.

use crate::cuda::bytes::after_values;
use crate::cuda::forms::Form;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};
use crate::cuda::{Cuda, CudaMatrix, CudaTensor, CudaVector};
use crate::{DeviceError, LayerNorm, shapes};

/// Threads of a block in which each warp has a row. A longer row has its own block, of one of these sizes.
const THREADS: usize = 128;
const LANES: [usize; 4] = [32, 64, 128, 256];

/// Values of a vector, and vectors of a row that a thread holds, except for rows that are too long for the
/// most threads.
const VALUES: usize = 8;
const VECTORS: usize = 5;

/// Columns of the blocks that a Hadamard matrix rotates: the widest that divides the row. All rows of bytes
/// are multiples of the last.
const BLOCKS: [usize; 3] = [64, 32, 16];

/// Columns of rows that are quantised in published models, and whether a layer norm precedes.
const PUBLISHED: [(usize, bool); 9] = [
    (320, true),
    (480, true),
    (640, true),
    (1280, true),
    (2560, true),
    (5120, true),
    (1280, false),
    (10_240, false),
    (20_480, false),
];

/// A form of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct QuantizeForm {
    normed: bool,
    /// Threads that share a row.
    lanes: usize,
    /// Vectors of a row that a thread holds.
    vectors: usize,
    /// Columns of the blocks that are rotated.
    block: usize,
}

impl QuantizeForm {
    fn of(columns: usize, normed: bool) -> QuantizeForm {
        let lanes = LANES.into_iter().find(|lanes| columns <= lanes * VALUES * VECTORS).unwrap_or(LANES[3]);
        let block = BLOCKS.into_iter().find(|block| columns.is_multiple_of(*block)).unwrap_or(BLOCKS[2]);
        QuantizeForm { normed, lanes, vectors: columns.div_ceil(lanes * VALUES), block }
    }

    fn source(self) -> KernelSource {
        kernel_source!("quantize.cu")
            .define([("NORMED", self.normed.into()), ("LANES", self.lanes), ("THREADS", self.threads())])
            .define([("VECTORS", self.vectors), ("BLOCK", self.block)])
    }

    /// Returns the threads of a block.
    fn threads(self) -> usize {
        if self.lanes == LANES[0] { THREADS } else { self.lanes }
    }

    fn grid(self, rows: usize) -> Grid {
        let rows_of_block = self.threads() / self.lanes;
        Grid { blocks: (rows.div_ceil(rows_of_block), 1), threads: self.threads() as u32, shared: 0 }
    }
}

/// Returns the sources of all forms of published models.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    PUBLISHED.into_iter().map(|(columns, normed)| QuantizeForm::of(columns, normed).source())
}

impl Cuda {
    /// Converts rows of plain `x` to bytes at `out`, which may be `x`. If there is a norm, applies it first,
    /// without its bias.
    pub(in crate::cuda) fn quantize(
        &self,
        x: &CudaTensor,
        norm: Option<&LayerNorm<CudaVector>>,
        out: &CudaTensor,
    ) -> Result<(), DeviceError> {
        if let Some(norm) = norm {
            shapes::layer_norm(x.columns, norm.weight.len, norm.bias.len)?;
        }
        self.card.enter()?;
        let form = QuantizeForm::of(x.columns, norm.is_some());
        let arguments = arguments![
            x.block.pointer,
            norm.map_or(0, |norm| norm.weight.exact.pointer),
            norm.map_or(0.0, |norm| norm.eps),
            out.block.pointer,
            x.rows as i32,
            x.columns as i32
        ];
        // SAFETY: a row of bytes and its scale take no more than the row's 16-bit values; the norm is as wide
        // as the rows.
        unsafe { self.kernels.launch(&form.source(), "quantize_rows", form.grid(x.rows), &arguments) }
    }

    /// Converts rows of bytes to plain values.
    pub(in crate::cuda) fn expand(&self, x: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        let out = CudaTensor { form: Form::Plain, ..self.tensor(x.rows, x.columns)? };
        let form = QuantizeForm::of(x.columns, false);
        let arguments = arguments![x.block.pointer, out.block.pointer, x.rows as i32, x.columns as i32];
        // SAFETY: both tensors have the same rows and columns.
        unsafe { self.kernels.launch(&form.source(), "expand_rows", form.grid(x.rows), &arguments)? };
        Ok(out)
    }

    /// Converts a weight's float32 values at `exact` to bytes at `weight`. `share` holds the addresses of a
    /// norm's bias and of the layer's, to which the weight's share is added.
    pub(in crate::cuda) fn quantize_weight(
        &self,
        exact: u64,
        share: Option<(u64, u64)>,
        weight: &CudaMatrix,
    ) -> Result<(), DeviceError> {
        self.card.enter()?;
        let (outputs, inputs) = (weight.rows, weight.columns);
        let [scales, zeros] = after_values(outputs, inputs).map(|after| weight.memory.pointer + after as u64);
        let (norm_bias, bias) = share.unwrap_or_default();
        let form = QuantizeForm::of(inputs, false);
        let arguments = arguments![
            exact,
            norm_bias,
            bias,
            weight.memory.pointer,
            scales,
            zeros,
            outputs as i32,
            inputs as i32
        ];
        // SAFETY: `exact` holds the weight's values, which wait for the stream before they go; biases have
        // the sizes checked.
        unsafe { self.kernels.launch(&form.source(), "quantize_weight", form.grid(outputs), &arguments) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_hold_whole_rows() {
        for columns in [16, 320, 480, 2560, 2576, 5120, 10_240, 20_480] {
            let QuantizeForm { lanes, vectors, block, .. } = QuantizeForm::of(columns, false);
            assert!(lanes * vectors * VALUES >= columns && vectors <= 10, "{columns}");
            assert!(columns.is_multiple_of(block), "{columns}");
        }
        let form = |normed, lanes, vectors, block| QuantizeForm { normed, lanes, vectors, block };
        assert_eq!(QuantizeForm::of(2560, true), form(true, 64, 5, 64));
        assert_eq!(QuantizeForm::of(480, true), form(true, 32, 2, 32));
        assert_eq!(QuantizeForm::of(10_240, false), form(false, 256, 5, 64));
    }
}
