//! The error of a device that cannot be used as requested.

use std::borrow::Cow;

use virpack_device::{Dtype, Unavailable};
use virpack_seq::Hint;

use super::DeviceChoice;
use crate::error::{Error, opaque};

opaque! {
    /// An error of a device that cannot be used as requested.
    pub struct DeviceChoiceError(DeviceChoiceProblem) in Error::DeviceChoice;
}

impl DeviceChoiceError {
    /// Returns why a device cannot be used; None for another problem.
    #[must_use]
    pub fn unavailable(&self) -> Option<&Unavailable> {
        match &self.0 {
            DeviceChoiceProblem::Unavailable { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Returns whether the CPU does not compute in the requested precision and was chosen because there is
    /// no GPU; None for another problem.
    #[must_use]
    pub fn is_dtype_of_auto(&self) -> Option<bool> {
        match self.0 {
            DeviceChoiceProblem::CpuDtype { auto, .. } => Some(auto),
            _ => None,
        }
    }
}

/// The problem, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceChoiceProblem {
    /// A requested device that cannot be used.
    #[error("{device} cannot be used: {why}")]
    Unavailable {
        /// The device.
        device: DeviceChoice,
        /// The reason, and what to do about it.
        why: Unavailable,
    },
    /// A precision in which the CPU does not compute.
    #[error("the CPU computes in float32 or bfloat16, not in {dtype}")]
    CpuDtype {
        /// The requested precision.
        dtype: Dtype,
        /// Whether the CPU was chosen because there is no GPU.
        auto: bool,
    },
    /// Several devices for a command that runs on one.
    #[error("{0} names several devices, and this command runs on one")]
    OneDevice(DeviceChoice),
    /// Text that names no device.
    #[error("{0:?} is not a device")]
    NoDevice(String),
    /// A GPU that is listed twice.
    #[error("cuda:{0} is listed twice")]
    Twice(usize),
}

impl Hint for DeviceChoiceProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            DeviceChoiceProblem::Unavailable { why, .. } => return why.hint(),
            DeviceChoiceProblem::CpuDtype { auto: true, .. } => {
                "choose bfloat16 or name no precision; the list of devices says why no GPU is used"
            }
            DeviceChoiceProblem::CpuDtype { auto: false, .. } => {
                "choose bfloat16, name no precision, or name a GPU"
            }
            DeviceChoiceProblem::OneDevice(_) => "name one of them, as in cuda:0",
            DeviceChoiceProblem::NoDevice(_) => "use auto, cpu, cuda, cuda:N, cuda:N,M or cuda:all",
            DeviceChoiceProblem::Twice(_) => "list each GPU once",
        }))
    }
}
