//! Models, runner and outputs.

#![forbid(unsafe_code)]

pub use virpack_device as device;
pub use virpack_seq as seq;
