//! The forms that values have on a card, and the way from one to another.
//!
//! Weights have their form from their upload on. Of activations, those are in another form than the plain one
//! that one product or attention hands to the next; whatever else takes such a tensor makes it plain first.

use super::{Cuda, CudaTensor};
use crate::DeviceError;
use std::ops::Deref;

/// How values lie in memory. A tensor takes the same bytes in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Values of the dtype.
    #[default]
    Plain,
    /// float32 as pairs of float16 (`pairs.rs`).
    Pairs,
    /// int8, with a scale a row (`bytes.rs`).
    Bytes,
}

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
    /// The tensor as plain values.
    pub(super) fn plain<'a>(&self, x: &'a CudaTensor) -> Result<Either<'a>, DeviceError> {
        if x.form == Form::Plain { Ok(Either::Given(x)) } else { self.made_plain(x).map(Either::Made) }
    }

    /// The tensor itself as plain values.
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
