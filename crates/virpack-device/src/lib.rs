//! The devices virpack runs on: one [`Backend`] trait, its implementations and their kernels.
//!
//! This is the only crate with `unsafe` code.

pub mod backend;
pub mod cpu;
pub mod cuda;
pub mod device;
mod dtype;
pub mod error;
mod mapped;
mod memory;
mod shapes;

pub use backend::{
    Attention, Backend, Epilogue, HostLinear, LayerNorm, Linear, LinearOf, Pool, PoolSpan, TokenDropout,
    rotary_frequencies,
};
pub use cpu::{CPU_TOKEN_BUDGET, Cpu};
pub use cuda::{ArenaPlan, Cuda, CudaOptions};
pub use device::{Device, ModelFootprint, ModelShape};
pub use dtype::Dtype;
pub use error::{DeviceError, Remedy, Unavailable};
pub use mapped::MappedFile;
pub use memory::available_memory;
