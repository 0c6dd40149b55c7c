//! float32 on the tensor cores of compute capability 9.0: which values are pairs of float16 (kernels/pairs.cuh).
//!
//! Weights are pairs from their upload on. Of activations those are that one product or attention hands to the next;
//! whatever else takes a tensor of pairs joins it first, and a product of float32 rows splits them first.

use super::arena::Fixed;
use super::{Cuda, CudaMatrix, CudaTensor};
use crate::{DeviceError, Dtype};
use std::ops::Deref;

/// A tensor as it was given, or its other form.
pub(super) enum Either<'a> {
    Given(&'a CudaTensor),
    Made(CudaTensor),
}

impl Deref for Either<'_> {
    type Target = CudaTensor;

    fn deref(&self) -> &CudaTensor {
        match self {
            Either::Given(x) => x,
            Either::Made(x) => x,
        }
    }
}

impl Cuda {
    /// Whether float32 products of this card are of pairs.
    pub(super) fn has_pairs(&self) -> bool {
        self.bulk_copies && self.options.dtype == Dtype::F32
    }

    /// Whether rows of so many values are pairs where a product reads them: of a multiple of 16 bytes, as bulk copies
    /// ask for.
    pub(super) fn are_for_pairs(&self, columns: usize) -> bool {
        self.has_pairs() && columns.is_multiple_of(8) && columns > 0
    }

    /// Whether a weight of these sizes is pairs.
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
        // `exact` waits for the stream before it goes.
        self.copy("split", exact.pointer, memory.pointer, rows * columns, columns)?;
        Ok(CudaMatrix { memory, rows, columns, folded: false, pairs: true, neighbours: None })
    }

    /// The tensor as float32 values.
    pub(super) fn plain<'a>(&self, x: &'a CudaTensor) -> Result<Either<'a>, DeviceError> {
        if x.pairs { self.other_form("join", x).map(Either::Made) } else { Ok(Either::Given(x)) }
    }

    /// The tensor itself as float32 values.
    pub(super) fn joined(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if x.pairs { self.other_form("join", &x) } else { Ok(x) }
    }

    /// The tensor itself as pairs.
    pub(super) fn split(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if x.pairs { Ok(x) } else { self.other_form("split", &x) }
    }

    /// The tensor as pairs.
    pub(super) fn as_pairs<'a>(&self, x: &'a CudaTensor) -> Result<Either<'a>, DeviceError> {
        if x.pairs { Ok(Either::Given(x)) } else { self.other_form("split", x).map(Either::Made) }
    }

    fn other_form(&self, kernel: &'static str, x: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        let other = CudaTensor { pairs: !x.pairs, ..self.tensor(x.rows, x.columns)? };
        self.copy(kernel, x.block.pointer, other.block.pointer, x.rows * x.columns, x.columns)?;
        Ok(other)
    }
}
