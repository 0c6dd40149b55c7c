//! Uploads of parameters to the card.

use super::arena::Fixed;
use super::driver::{Stream, check};
use super::forms::Form;
use super::{Cuda, CudaMatrix};
use crate::DeviceError;
use cudarc::driver::sys;

impl Cuda {
    fn upload(&self, op: &'static str, bytes: &[u8]) -> Result<Fixed, DeviceError> {
        let memory = Fixed::new(&self.card, op, bytes.len())?;
        let Stream(compute) = self.card.compute;
        let from = bytes.as_ptr().cast();
        // SAFETY: `memory` has the length copied. The source is not pinned, so the call returns once it has read it; on
        // the compute stream, as a copy on any other could still be on its way when a kernel reads.
        check("cuMemcpyHtoDAsync", unsafe {
            sys::cuMemcpyHtoDAsync_v2(memory.pointer, from, bytes.len(), compute)
        })?;
        Ok(memory)
    }

    /// Uploads float32 values into their own memory.
    pub(super) fn fixed_f32(&self, op: &'static str, values: &[f32]) -> Result<Fixed, DeviceError> {
        self.card.enter()?;
        // SAFETY: any float32 is four plain bytes.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        self.upload(op, bytes)
    }

    /// Uploads values into their own memory, rounded to the nearest in the dtype of the activations.
    pub(super) fn fixed(&self, op: &'static str, values: &[f32]) -> Result<Fixed, DeviceError> {
        let exact = self.fixed_f32(op, values)?;
        if self.options.dtype.is_float32() {
            return Ok(exact);
        }
        self.rounded(op, &exact, values.len())
    }

    /// Uploads a matrix of values of the dtype.
    pub(super) fn matrix_of_values(
        &self,
        [rows, columns]: [usize; 2],
        values: &[f32],
    ) -> Result<CudaMatrix, DeviceError> {
        let memory = self.fixed("matrix", values)?;
        Ok(CudaMatrix { memory, rows, columns, folded: false, form: Form::Plain, neighbours: None })
    }

    /// Uploads a product's weight in the dtype, or as pairs if products use them.
    pub(super) fn matrix_of_words(
        &self,
        [rows, columns]: [usize; 2],
        values: &[f32],
    ) -> Result<CudaMatrix, DeviceError> {
        if self.is_for_pairs(rows, columns) {
            return self.matrix_of_pairs(rows, columns, values);
        }
        self.matrix_of_values([rows, columns], values)
    }

    /// Rounds `len` float32 values to 16 bits.
    pub(super) fn rounded(&self, op: &'static str, exact: &Fixed, len: usize) -> Result<Fixed, DeviceError> {
        let rounded = Fixed::new(&self.card, op, len * self.options.dtype.bytes())?;
        // SAFETY: both hold `len` values; `exact` waits for the stream before it goes.
        unsafe { self.narrow(exact.pointer, rounded.pointer, len)? };
        Ok(rounded)
    }
}
