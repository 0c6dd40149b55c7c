//! The devices virpack runs on: one [`Backend`] trait, its implementations and their kernels.
//!
//! This is the only crate with `unsafe` code.

pub mod backend;
pub mod cpu;
pub mod cuda;
pub mod error;
mod mapped;
mod shapes;

pub use backend::{
    Attention, Backend, LayerNorm, NormedLinear, Pool, PoolSpan, TokenDropout, rotary_frequencies,
};
pub use cpu::Cpu;
pub use cuda::{Cuda, CudaOptions, CudaRoom, Dtype};
pub use error::{DeviceError, Remedy, Unavailable};
pub use mapped::MappedFile;
