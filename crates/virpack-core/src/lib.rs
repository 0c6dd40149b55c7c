//! Packed language-model embeddings of biological sequences: models, the runner, outputs.
//!
//! [`embed::embed`] is the whole run. [`seq`] holds what comes before the model (reading, tokenizing, packing),
//! [`device`] what it runs on.

#![forbid(unsafe_code)]

pub mod bench;
mod cancel;
mod convert;
pub mod devices;
pub mod embed;
mod error;
mod event;
mod files;
pub mod frames;
#[doc(hidden)]
pub mod fuzzing;
pub mod html;
mod identity;
mod loaded_model;
pub mod memory;
pub mod merge;
pub mod output;
pub mod predict;
pub mod progress;
mod report;
pub mod resume;
mod row;
pub mod runner;
pub mod synthetic;
pub mod validate;
mod windows;

pub use cancel::CancelToken;
pub use convert::convert_classifier;
pub use error::Error;
pub use event::{Event, ModelBudget};
pub use virpack_device as device;
pub use virpack_model as model;
pub use virpack_seq as seq;
pub use virpack_seq::Hint;

/// The Rust example of the documentation, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct Library;
