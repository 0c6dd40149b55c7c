//! The forms in which values are stored on a card, and conversions between them.
//!
//! A weight has its form from the upload on. An activation has another form than the plain one only between
//! one product or attention and the next. Any other operation converts such a tensor to plain values first.

use super::{Cuda, CudaTensor};
use crate::DeviceError;
use std::ops::Deref;

/// How values are stored. A tensor takes the same bytes in each form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Values of the dtype.
    #[default]
    Plain,
    /// float32 as pairs of float16 (`pairs.rs`).
    Pairs,
    /// int8, with a scale for each row (`bytes.rs`).
    Bytes,
}

/// A tensor as it is, or converted.
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
    /// Returns the tensor as plain values.
    pub(super) fn plain<'a>(&self, x: &'a CudaTensor) -> Result<Either<'a>, DeviceError> {
        if x.form == Form::Plain { Ok(Either::Given(x)) } else { self.made_plain(x).map(Either::Made) }
    }

    /// Converts the tensor to plain values.
    pub(super) fn joined(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if x.form == Form::Plain { Ok(x) } else { self.made_plain(&x) }
    }

    fn made_plain(&self, x: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        match x.form {
            Form::Bytes => self.expand(x),
            _ => self.other_form("join", x),
        }
    }
}
