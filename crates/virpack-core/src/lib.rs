//! Packed language-model embeddings of biological sequences, and verdicts on them: virus or not.
//!
//! Embed a file. `virpack-mini` is built in; other models are named as in `virpack embed`, or are directories
//! of weights ([`ModelSource`]).
//!
//! ```
//! use virpack_core::{CancelToken, EmbedOptions, embed};
//!
//! # let folder = tempfile::tempdir()?;
//! let output = folder.path().join("proteins.npy");
//! let options = EmbedOptions::new(vec!["../../examples/proteins.fasta".into()], "virpack-mini", &output);
//! let summary = embed(&options, &CancelToken::new(), |_event| ())?;
//! assert_eq!(summary.written.rows, 4);
//! assert!(output.exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Predict which records of a file are viral, with the built-in models and classifiers:
//!
//! ```
//! use virpack_core::CancelToken;
//! use virpack_core::model::mini;
//! use virpack_core::predict::{Bundle, PredictOptions, predict};
//!
//! # let folder = tempfile::tempdir()?;
//! let output = folder.path().join("verdicts");
//! let built_in = Bundle::open(&mini::location())?;
//! let inputs = vec!["../../examples/contigs.fasta".into()];
//! let options = PredictOptions::with_bundle(inputs, &built_in, None, &output);
//! let predicted = predict(&options, &CancelToken::new(), |_event| ())?;
//! assert_eq!(predicted.calls.counts.records, 5);
//! assert!(output.join("sequences.tsv").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | see |
//! | --- | --- |
//! | load a model once and embed records in memory | [`Embedder`] |
//! | choose a GPU, a precision or threads | [`DeviceOptions`] |
//! | stop a run from outside, and resume it | [`CancelToken`], [`CheckpointOptions`] |
//! | follow a run | [`Event`], [`Progress`] |
//! | run another model on packed batches | [`AsyncInferenceRunner`], over [`seq`], [`model`] and [`device`] |
//! | write embeddings of another origin | [`output`] |
//! | learn what to do about an error | [`Hint`] |
//!
//! [`seq`] reads, tokenizes and packs; it needs neither a model nor a device. `examples/` has complete
//! programs.

#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod bench;
pub mod calls;
mod cancel;
mod convert;
mod devices;
mod embed;
mod embedder;
mod embeddings;
mod error;
mod event;
mod files;
mod frames;
#[doc(hidden)]
pub mod fuzzing;
mod html;
mod identity;
mod loaded_model;
#[doc(hidden)]
pub mod memory;
mod merge;
mod options;
pub mod output;
pub mod plan;
pub mod predict;
mod progress;
pub mod report;
mod resume;
mod row;
mod run_json;
mod runner;
#[doc(hidden)]
pub mod synthetic;
pub mod validate;
pub mod verdict;
mod windows;

pub use cancel::CancelToken;
pub use convert::convert_classifier;
pub use devices::{DeviceChoice, DeviceChoiceError, DeviceOptions, Devices, LeftOutCard, only};
pub use embed::{EmbedOptions, EmbedSummary, embed, embed_on};
pub use embedder::{Embedder, EmbedderOptions, EmbeddingStream};
pub use embeddings::Embeddings;
pub use error::{Error, SettingError};
pub use event::{Event, ModelBudget};
pub use frames::{FrameKind, FramesOptions, FramesSummary, frames};
pub use merge::{MergeError, MergeOptions, merge};
pub use options::{LengthOptions, ModelSource, ParseTokenBudgetError, TokenBudget};
pub use progress::{ChunkProgress, DeviceProgress, Progress};
pub use resume::{CheckpointOptions, ResumeError, ResumeErrorKind, ResumeSummary, SavedWork, Unit};
pub use runner::{AsyncInferenceRunner, DeviceEvent, DeviceTally, RunnerItem, RunnerOptions};
pub use virpack_device as device;
pub use virpack_model as model;
pub use virpack_seq as seq;
pub use virpack_seq::Hint;

/// The Rust example of the documentation, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/reference/library.md")]
struct Library;
