//! float32 on the tensor cores of compute capability 9.0: which values are pairs of float16
//! (kernels/pairs.cuh).
//!
//! Activations are pairs if one product or attention passes them to the next. A product of float32 rows
//! splits them first.

use super::arena::Fixed;
use super::forms::{Either, Form};
use super::{Cuda, CudaMatrix, CudaTensor};
use crate::{DeviceError, Dtype};

impl Cuda {
    /// Returns whether float32 products of this card use pairs.
    pub(super) fn has_pairs(&self) -> bool {
        self.bulk_copies && self.options.dtype == Dtype::F32
    }

    /// Returns whether a product reads rows of this many values as pairs: they must be a multiple of 16
    /// bytes, which bulk copies require.
    pub(super) fn are_for_pairs(&self, columns: usize) -> bool {
        self.has_pairs() && columns.is_multiple_of(8) && columns > 0
    }

    /// Returns whether a weight of these sizes is stored as pairs.
    pub(super) fn is_for_pairs(&self, outputs: usize, inputs: usize) -> bool {
        self.are_for_pairs(inputs) && outputs.is_multiple_of(8)
    }

    /// Uploads a weight as pairs.
    pub(super) fn matrix_of_pairs(
        &self,
        rows: usize,
        columns: usize,
        values: &[f32],
    ) -> Result<CudaMatrix, DeviceError> {
        let exact = self.fixed_f32("matrix", values)?;
        let memory = Fixed::new(&self.card, "matrix", size_of_val(values))?;
        // `exact` waits for the stream before it is dropped.
        self.copy("split", exact.pointer, memory.pointer, rows * columns, columns)?;
        Ok(CudaMatrix { memory, rows, columns, folded: false, form: Form::Pairs, neighbours: None })
    }

    /// Converts the tensor to pairs.
    pub(super) fn split(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if x.form == Form::Pairs { Ok(x) } else { self.other_form("split", &x) }
    }

    /// Returns the tensor as pairs.
    pub(super) fn as_pairs<'a>(&self, x: &'a CudaTensor) -> Result<Either<'a>, DeviceError> {
        if x.form == Form::Pairs {
            return Ok(Either::Given(x));
        }
        self.other_form("split", x).map(Either::Made)
    }

    /// Converts plain values to pairs with `split`, and pairs to plain values with `join`.
    pub(super) fn other_form(&self, kernel: &'static str, x: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        let form = if x.form == Form::Pairs { Form::Plain } else { Form::Pairs };
        let other = CudaTensor { form, ..self.tensor(x.rows, x.columns)? };
        self.copy(kernel, x.block.pointer, other.block.pointer, x.rows * x.columns, x.columns)?;
        Ok(other)
    }
}
