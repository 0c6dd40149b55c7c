//! Launches the kernels of `norm.cu`: layer norms, and a norm folded into the linear layer after it.
//!
//! A norm's weight, bias and mean become part of the product's weight and bias once, at load. Only a row's
//! deviation remains: the product's kernel measures it and multiplies its sums by it (`row_scales.rs`).

use crate::cuda::arena::Fixed;
use crate::cuda::forms::Form;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};
use crate::cuda::{Cuda, CudaMatrix, CudaTensor, CudaVector};
use crate::{DeviceError, LayerNorm, Linear, LinearOf, shapes};

/// Threads of a block; a warp takes a row.
const THREADS: u32 = 128;

/// The most vectors that a lane of the layer norm holds: the kernel's forms.
const NORM_FORMS: [(usize, &str); 8] = [
    (1, "layer_norm_1"),
    (2, "layer_norm_2"),
    (3, "layer_norm_3"),
    (4, "layer_norm_4"),
    (5, "layer_norm_5"),
    (8, "layer_norm_8"),
    (10, "layer_norm_10"),
    (20, "layer_norm_20"),
];

pub(super) fn source() -> KernelSource {
    kernel_source!("norm.cu" after "pairs.cuh")
}

impl Cuda {
    /// Computes layer norms of rows; as pairs of float16 if `pairs` and a kernel gives them.
    pub(in crate::cuda) fn norm(
        &self,
        x: &CudaTensor,
        norm: &LayerNorm<CudaVector>,
        pairs: bool,
    ) -> Result<CudaTensor, DeviceError> {
        let LayerNorm { weight, bias, eps } = norm;
        shapes::layer_norm(x.columns, weight.len, bias.len)?;
        self.card.enter()?;
        let x = self.plain(x)?;
        let vectors = x.columns.div_ceil(32 * self.vector_len());
        let form = NORM_FORMS.into_iter().find(|form| form.0 >= vectors);
        let name = form.filter(|_| x.columns.is_multiple_of(self.vector_len())).map(|form| form.1);
        let pairs = pairs && name.is_some();
        let form = if pairs { Form::Pairs } else { Form::Plain };
        let out = CudaTensor { form, ..self.tensor(x.rows, x.columns)? };
        let blocks = x.rows.div_ceil(THREADS as usize / 32);
        let grid = Grid { blocks: (blocks, 1), threads: THREADS, shared: 0 };
        let arguments = arguments![
            x.block.pointer,
            weight.exact.pointer,
            bias.exact.pointer,
            *eps,
            out.block.pointer,
            x.rows as i32,
            x.columns as i32,
            i32::from(pairs)
        ];
        // SAFETY: shapes as checked; pairs take as many bytes as float32.
        unsafe { self.kernels.launch(&source(), name.unwrap_or("layer_norm_any"), grid, &arguments)? };
        Ok(out)
    }

    /// Returns the layer with its norm folded in, if a product takes it. The sizes are checked.
    pub(in crate::cuda) fn fold(
        &self,
        norm: LayerNorm<Vec<f32>>,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<LinearOf<Cuda>, DeviceError> {
        let (outputs, inputs) = (bias.len(), norm.weight.len());
        let norm = norm.upload(self)?;
        let exact = self.fixed_f32("linear_layer", weight)?;
        let exact_bias = self.fixed_f32("linear_layer", bias)?;
        let folded = Fixed::new(&self.card, "linear_layer", outputs * inputs * self.options.dtype.bytes())?;
        let grid = Grid { blocks: (outputs.div_ceil(THREADS as usize / 32), 1), threads: THREADS, shared: 0 };
        let arguments = arguments![
            exact.pointer,
            norm.weight.exact.pointer,
            norm.bias.exact.pointer,
            exact_bias.pointer,
            folded.pointer,
            outputs as i32,
            inputs as i32
        ];
        // SAFETY: lengths as checked; `exact` waits for the stream before it goes.
        unsafe { self.kernels.launch(&source(), "fold", grid, &arguments)? };
        let weight = CudaMatrix {
            memory: folded,
            rows: outputs,
            columns: inputs,
            folded: true,
            form: Form::Plain,
            neighbours: None,
        };
        let rounded = self.rounded("linear_layer", &exact_bias, outputs)?;
        let bias = CudaVector { exact: exact_bias, rounded, len: outputs };
        Ok(Linear { norm: Some(norm), weight, bias: Some(bias) })
    }
}
