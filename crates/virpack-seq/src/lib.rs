//! Bytes of FASTA or FASTQ to packed token batches.

#![forbid(unsafe_code)]

pub mod batch;
pub mod error;
pub mod long;
pub mod reader;
pub mod record;
pub mod slab;
pub mod tokenize;

pub use batch::{PackedBatch, SequenceIndex, Window};
pub use error::SeqError;
pub use long::{LengthPolicy, LongRecords};
pub use reader::{Input, ReadProgress, Records};
pub use record::{Record, SkipReason, SkippedRecord};
pub use slab::{LengthCounts, TokenSlab};
pub use tokenize::{EsmTokenizer, Tokenizer};
