//! Bytes of FASTA or FASTQ to packed token batches.

#![forbid(unsafe_code)]

pub mod batch;
pub mod budget;
pub mod collate;
pub mod error;
pub mod pack;
pub mod plan;
pub mod record;

pub use batch::{PackedBatch, SequenceIndex, Window};
pub use budget::{BudgetLimits, Footprint, available_memory, calculate_token_budget};
pub use collate::{CollatorCounters, CollatorOptions, VarlenCollator};
pub use error::SeqError;
pub use pack::{Algorithm, GreedyPacker, LengthHistogram, PackStats, PackWorkspace, PackerOptions, Packing};
pub use plan::{Plan, Planner};
pub use record::{Record, SkipReason, SkippedRecord};
