//! int8 on compute capability 9.0: which values are bytes (kernels/quantize.cu), and how a layer uses them.
//!
//! Each row of a weight has a scale, set at upload. Each row of an activation has one too, measured where the
//! row is computed. No scale belongs to a batch, and sums are integers, so the bits of a row depend only on
//! the row and the weight. A layer norm's weight is applied before its rows are measured, and its bias is
//! added to the layer's. Both operands are rotated by the same matrix before rounding, so that no value is an
//! outlier. Attention, the residual stream and everything else are in float16.

use super::arena::Fixed;
use super::epilogue::KernelEpilogue;
use super::forms::{Either, Form};
use super::{Cuda, CudaMatrix, CudaTensor, CudaVector, ROW_STEP};
use crate::{DeviceError, Dtype, Epilogue, LayerNorm, Linear, LinearOf, shapes};

/// The widest rows that a block has registers for.
const WIDEST: usize = 20_480;

impl Cuda {
    /// Returns whether products use bytes. `Cuda::new` has checked that the card supports them.
    pub(super) fn has_bytes(&self) -> bool {
        self.options.dtype == Dtype::Int8
    }

    /// Returns whether a product reads rows of this many values as bytes: they must be a multiple of 16,
    /// which bulk copies require.
    pub(super) fn are_for_bytes(&self, columns: usize) -> bool {
        self.has_bytes() && columns.is_multiple_of(16) && (1..=WIDEST).contains(&columns)
    }

    /// Returns whether a weight of these sizes is stored as bytes.
    pub(super) fn is_for_bytes(&self, outputs: usize, inputs: usize) -> bool {
        self.are_for_bytes(inputs) && outputs.is_multiple_of(8)
    }

    /// Uploads a weight as bytes, without a norm before it.
    pub(super) fn matrix_of_bytes(
        &self,
        rows: usize,
        columns: usize,
        values: &[f32],
    ) -> Result<CudaMatrix, DeviceError> {
        let exact = self.fixed_f32("matrix", values)?;
        self.weight_of_bytes(&exact, None, [rows, columns])
    }

    /// Uploads a layer with a weight of bytes, and adds its norm's bias to its own. The sizes are checked.
    pub(super) fn layer_of_bytes(
        &self,
        norm: Option<LayerNorm<Vec<f32>>>,
        weight: &[f32],
        bias: Option<Vec<f32>>,
        shape: [usize; 2],
    ) -> Result<LinearOf<Cuda>, DeviceError> {
        let norm = norm.map(|norm| norm.upload(self)).transpose()?;
        let exact = self.fixed_f32("linear_layer", weight)?;
        let Some(bias) = bias.or_else(|| norm.is_some().then(|| vec![0.0; shape[0]])) else {
            return Ok(Linear { norm, weight: self.weight_of_bytes(&exact, None, shape)?, bias: None });
        };
        let exact_bias = self.fixed_f32("linear_layer", &bias)?;
        let share = norm.as_ref().map(|norm| (norm.bias.exact.pointer, exact_bias.pointer));
        let weight = self.weight_of_bytes(&exact, share, shape)?;
        let rounded = self.rounded("linear_layer", &exact_bias, bias.len())?;
        let bias = Some(CudaVector { exact: exact_bias, rounded, len: bias.len() });
        Ok(Linear { norm, weight, bias })
    }

    /// `share` holds the addresses of a norm's bias and of the layer's bias, to which the weight's share of
    /// the norm's is added.
    fn weight_of_bytes(
        &self,
        exact: &Fixed,
        share: Option<(u64, u64)>,
        [rows, columns]: [usize; 2],
    ) -> Result<CudaMatrix, DeviceError> {
        let memory = Fixed::new(&self.card, "matrix", bytes_of_weight(rows, columns))?;
        let form = Form::Bytes;
        let weight = CudaMatrix { memory, rows, columns, folded: share.is_some(), form, neighbours: None };
        self.quantize_weight(exact.pointer, share, &weight)?;
        Ok(weight)
    }

    /// Converts the tensor to bytes, if a product reads rows of its width as bytes.
    pub(super) fn handed_on(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if x.form == Form::Bytes || !self.are_for_bytes(x.columns) {
            return Ok(x);
        }
        let x = self.joined(x)?;
        self.quantize(&x, None, &x)?;
        Ok(CudaTensor { form: Form::Bytes, ..x })
    }

    /// Returns the tensor's rows as bytes. If there is a norm, applies it first, without its bias.
    fn as_bytes<'a>(
        &self,
        x: &'a CudaTensor,
        norm: Option<&LayerNorm<CudaVector>>,
    ) -> Result<Either<'a>, DeviceError> {
        if x.form == Form::Bytes && norm.is_none() {
            return Ok(Either::Given(x));
        }
        let x = self.plain(x)?;
        let bytes = CudaTensor { form: Form::Bytes, ..self.tensor(x.rows, x.columns)? };
        self.quantize(&x, norm, &bytes)?;
        Ok(Either::Made(bytes))
    }

    /// Writes `x · weightᵀ + bias` of a weight of bytes to `y`, or adds it to `y` if `residual`.
    pub(super) fn bytes_product(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        residual: bool,
    ) -> Result<(), DeviceError> {
        Self::check_product(x, weight, bias, y, false)?;
        let x = self.as_bytes(x, None)?;
        self.product_of_bytes(KernelEpilogue::None, residual, &x, weight, bias, y, None)
    }

    /// Computes a linear layer whose weight is bytes.
    pub(super) fn bytes_linear(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        then: Epilogue<'_, Cuda>,
    ) -> Result<CudaTensor, DeviceError> {
        let Linear { norm, weight, bias } = layer;
        let (rows, shape) = (x.rows, [weight.rows, weight.columns]);
        shapes::linear([rows, x.columns], shape, bias.as_ref().map(|bias| bias.len), [rows, weight.rows])?;
        // A norm whose bias is not in the layer's is applied before, unchanged.
        let (inside, before) = if weight.folded { (norm.as_ref(), None) } else { (None, norm.as_ref()) };
        let normed = before.map(|norm| self.norm(x, norm, false)).transpose()?;
        let x = self.as_bytes(normed.as_ref().unwrap_or(x), inside)?;
        let fused = |then, rotation| {
            let y = self.tensor(rows, weight.rows)?;
            self.product_of_bytes(then, false, &x, weight, bias.as_ref(), &y, rotation).map(|()| y)
        };
        match then {
            Epilogue::Gelu => self.handed_on(fused(KernelEpilogue::Gelu, None)?),
            Epilogue::Add(residual) => {
                let y = self.joined(residual)?;
                self.product_of_bytes(KernelEpilogue::None, true, &x, weight, bias.as_ref(), &y, None)?;
                Ok(y)
            }
            Epilogue::Rotary(packed, attention) => match self.rotation(rows, weight, packed, attention)? {
                Some((then, rotation)) => fused(then, Some(rotation)),
                None => Epilogue::Rotary(packed, attention).apply(self, fused(KernelEpilogue::None, None)?),
            },
            other => other.apply(self, fused(KernelEpilogue::None, None)?),
        }
    }
}

/// Returns where the scales of a weight begin, and the zeros that replace a bias, in bytes from its values.
pub(super) fn after_values(rows: usize, columns: usize) -> [usize; 2] {
    let scales = rows * columns;
    [scales, scales + rows * size_of::<u16>()]
}

/// Returns the bytes of a weight: values, scales and zeros.
fn bytes_of_weight(rows: usize, columns: usize) -> usize {
    after_values(rows, columns)[1] + rows * size_of::<u16>()
}

/// Returns the rows that a tensor has memory for.
pub(super) fn padded(rows: usize) -> usize {
    rows.next_multiple_of(ROW_STEP)
}
