//! The devices virpack runs on: one [`Backend`] trait, its implementations and their kernels.
//!
//! This is the only crate with `unsafe` code.

pub mod backend;
pub mod cpu;
pub mod error;

pub use backend::{Attention, Backend, Pool, PoolSpan, TokenDropout};
pub use cpu::Cpu;
pub use error::DeviceError;
