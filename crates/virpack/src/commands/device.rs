//! Options that say what runs a model.

use super::choice::choice;
use crate::values::{parse_count, parse_device};
use clap::Args;
use std::num::NonZeroUsize;
use virpack_core::device::Dtype;
use virpack_core::{DeviceChoice, DeviceOptions};

/// Device and precision.
#[derive(Debug, Args)]
pub(crate) struct DeviceArguments {
    /// Where to run the model: `auto` (the first usable GPU, else the CPU), `cpu`, `cuda:N`, several GPUs as
    /// `cuda:0,2`, or `cuda:all`
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse_device)]
    device: DeviceChoice,

    /// Precision of weights and activations [default: f16 on a GPU, f32 on a CPU]
    #[arg(long, value_enum, value_name = "DTYPE")]
    dtype: Option<Precision>,

    /// Number of CPU threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    threads: Option<NonZeroUsize>,
}

choice! {
    pub(super) enum Precision for Dtype {
        /// float32; on compute capability 9.0 by the tensor cores, with the accuracy of float32
        F32 => Dtype::F32,
        /// float32 by ordinary instructions, without TF32: the reference
        F32Strict => Dtype::F32Strict,
        /// float16, on GPUs only
        F16 => Dtype::F16,
        /// bfloat16: the range of float32, with three bits less precision than float16
        Bf16 => Dtype::Bf16,
        /// int8 products, everything else in float16, on compute capability 9.0 only: for searches and
        /// classifiers, not for small differences
        Int8 => Dtype::Int8,
    }
}

impl DeviceArguments {
    pub(crate) fn options(&self) -> DeviceOptions {
        let dtype = self.dtype.map(Dtype::from);
        DeviceOptions::default().device(self.device.clone()).dtype(dtype).threads(self.threads)
    }
}
