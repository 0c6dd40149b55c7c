//! Models, runner and outputs.

#![forbid(unsafe_code)]

pub mod embed;
mod error;
pub mod model;
pub mod output;
pub mod runner;
mod windows;

pub use error::Error;
pub use virpack_device as device;
pub use virpack_seq as seq;
