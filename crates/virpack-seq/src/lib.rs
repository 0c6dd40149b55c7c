//! Bytes of FASTA or FASTQ to packed token batches.

#![forbid(unsafe_code)]

pub mod batch;
pub mod error;
pub mod record;

pub use batch::{PackedBatch, SequenceIndex, Window};
pub use error::SeqError;
pub use record::{Record, SkipReason, SkippedRecord};
