//! Chooses the product that computes a linear layer, and what follows it.

use super::cublas::{Operands, Shape};
use super::epilogue::KernelEpilogue;
use super::forms::Form;
use super::packed::CudaPacked;
use super::{Cuda, CudaMatrix, CudaTensor, CudaVector, ROW_STEP, rotary};
use crate::{Attention, Backend, DeviceError, Epilogue, HostLinear, Linear, LinearOf, shapes};

impl Cuda {
    /// Checks a product's sizes against each other, and that the weight suits it.
    pub(super) fn check_product(
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        normed: bool,
    ) -> Result<(), DeviceError> {
        let (weight_shape, y_shape) = ([weight.rows, weight.columns], [y.rows, y.columns]);
        shapes::linear([x.rows, x.columns], weight_shape, bias.map(|b| b.len), y_shape)?;
        if weight.folded == normed {
            return Ok(());
        }
        let text = |folded| format!("a weight with a norm folded in: {folded}");
        Err(DeviceError::shape("linear", text(normed), text(weight.folded)))
    }

    /// Computes the product by the library, or of pairs or bytes, into `y`; adds it to `y` if `residual`.
    pub(super) fn product_into(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        residual: bool,
    ) -> Result<(), DeviceError> {
        match weight.form {
            Form::Pairs => return self.pairs_product(x, weight, bias, y, residual),
            Form::Bytes => return self.bytes_product(x, weight, bias, y, residual),
            Form::Plain => {}
        }
        let x = self.plain(x)?;
        Self::check_product(&x, weight, bias, y, false)?;
        self.card.enter()?;
        let shape = Shape {
            rows: x.rows.next_multiple_of(ROW_STEP),
            inputs: x.columns,
            outputs: weight.rows,
            bias: bias.is_some(),
            residual,
        };
        let operands = Operands {
            x: x.block.pointer,
            weight: weight.memory.pointer,
            bias: bias.map_or(0, |b| b.rounded.pointer),
            y: y.block.pointer,
        };
        // SAFETY: tensors hold rows up to a multiple of ROW_STEP; rows past the batch are computed and never read.
        unsafe { self.products.run(&self.kernels, shape, operands) }
    }

    /// Computes a linear layer whose norm is folded into it.
    fn folded_linear(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        then: Epilogue<'_, Cuda>,
    ) -> Result<CudaTensor, DeviceError> {
        let fused = |then, rotation| self.fused(then, x, layer, rotation);
        match then {
            Epilogue::Gelu => fused(KernelEpilogue::Gelu, None),
            Epilogue::Rotary(packed, attention) => {
                match self.rotation(x.rows, &layer.weight, packed, attention)? {
                    Some((then, rotation)) => fused(then, Some(rotation)),
                    None => {
                        Epilogue::Rotary(packed, attention).apply(self, fused(KernelEpilogue::None, None)?)
                    }
                }
            }
            other => other.apply(self, fused(KernelEpilogue::None, None)?),
        }
    }

    /// Uploads a layer. Folds its norm into it if virpack's own product takes that, puts its queries and keys
    /// into neighbouring rows if a product rotates them, and stores its weight as bytes if `is_bytes`.
    pub(super) fn upload_layer(
        &self,
        shape: [usize; 2],
        mut layer: HostLinear,
        rotated_heads: Option<usize>,
        is_bytes: bool,
    ) -> Result<LinearOf<Cuda>, DeviceError> {
        let (width, [outputs, inputs]) = (layer.check(shape, rotated_heads)?, shape);
        let folds = layer.norm.is_some() && layer.bias.is_some() && self.has_product(outputs, inputs);
        let rotates = folds || is_bytes || self.is_for_pairs(outputs, inputs);
        let neighbours = width.filter(|width| rotates && rotary::is_for_products(*width));
        if let Some(width) = neighbours {
            rotary::to_neighbours(&mut layer.weight, inputs, width);
            layer.bias.iter_mut().for_each(|bias| rotary::to_neighbours(bias, 1, width));
        }
        let layer = match layer {
            Linear { norm, weight, bias } if is_bytes => self.layer_of_bytes(norm, &weight, bias, shape)?,
            Linear { norm: Some(norm), weight, bias: Some(bias) } if folds => {
                self.fold(norm, &weight, &bias)?
            }
            plain => self.plain_layer(plain, shape)?,
        };
        Ok(Linear { weight: CudaMatrix { neighbours, ..layer.weight }, ..layer })
    }

    /// Uploads the parts of a layer unchanged, with the weight in the dtype or as pairs.
    fn plain_layer(&self, layer: HostLinear, shape: [usize; 2]) -> Result<LinearOf<Cuda>, DeviceError> {
        let Linear { norm, weight, bias } = layer;
        let norm = norm.map(|norm| norm.upload(self)).transpose()?;
        let weight = self.matrix_of_words(shape, &weight)?;
        Ok(Linear { norm, weight, bias: bias.map(|bias| self.vector(bias)).transpose()? })
    }

    /// Computes a linear layer by the fastest product for it.
    pub(super) fn linear_by(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        then: Epilogue<'_, Cuda>,
    ) -> Result<CudaTensor, DeviceError> {
        let Linear { norm, weight, bias } = layer;
        if weight.form == Form::Bytes {
            return self.bytes_linear(x, layer, then);
        }
        if weight.folded {
            return self.folded_linear(x, layer, then);
        }
        let normed = norm.as_ref().map(|norm| self.norm(x, norm, weight.form == Form::Pairs)).transpose()?;
        let (x, bias) = (normed.as_ref().unwrap_or(x), bias.as_ref());
        match then {
            Epilogue::Gelu if weight.form == Form::Pairs => {
                self.pairs_fused(KernelEpilogue::Gelu, x, weight, bias, None)
            }
            Epilogue::Gelu if bias.is_some() && self.has_product(weight.rows, weight.columns) => {
                self.fused(KernelEpilogue::Gelu, x, layer, None)
            }
            Epilogue::Add(residual) => {
                let residual = self.joined(residual)?;
                self.product_into(x, weight, bias, &residual, true)?;
                Ok(residual)
            }
            Epilogue::Rotary(packed, attention) => match self.rotation(x.rows, weight, packed, attention)? {
                Some((then, rotation)) => self.pairs_fused(then, x, weight, bias, Some(rotation)),
                None => self.rotary(self.product(x, weight, bias)?, packed, attention),
            },
            other => other.apply(self, self.product(x, weight, bias)?),
        }
    }

    /// Computes queries, keys and values of `x`, and their attention.
    pub(super) fn project_and_attend(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        // If the product does not rotate, attention rotates its input.
        let rotates = layer.weight.neighbours.is_none();
        let then = if rotates { Epilogue::None } else { Epilogue::Rotary(packed, attention) };
        let qkv = self.linear(x, layer, then)?;
        self.handed_on(self.attend(&qkv, packed, attention, rotates)?)
    }
}
