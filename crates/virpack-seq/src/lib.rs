//! Bytes of FASTA or FASTQ to packed token batches, for any engine.
//!
//! [`reader`] gives records, a [`Tokenizer`] their tokens, a [`LengthPolicy`] says what becomes of long ones, a
//! [`GreedyPacker`] fits lengths under a token budget, [`VarlenCollator`] does so on a stream, and
//! [`AsyncDataLoader`] runs all of it on threads of its own and hands out [`PackedBatch`]es.

#![forbid(unsafe_code)]

pub mod alphabet;
pub mod batch;
pub mod budget;
pub mod chunk;
pub mod collate;
pub mod error;
mod escape;
pub mod frames;
mod index_set;
mod input;
pub mod length_policy;
mod letters;
pub mod loader;
pub mod pack;
pub mod plan;
pub mod reader;
pub mod record;
mod relock;
mod shard;
pub mod slab;
mod small_file;
pub mod tokenize;
pub mod translate;

pub use alphabet::{Alphabet, AlphabetSample, count_bases, expect_nucleotides};
pub use batch::{PackedBatch, SequenceIndex, Window};
pub use budget::{BudgetLimits, Footprint, available_memory, calculate_token_budget};
pub use chunk::chunks;
pub use collate::{CollatorCounters, CollatorOptions, VarlenCollator};
pub use error::{Hint, InputError, SeqError};
pub use escape::{escaped, escaped_json, escaped_lines, shown_path};
pub use index_set::IndexSet;
pub use input::Input;
pub use length_policy::{LengthPolicy, LongRecords};
pub use loader::{AsyncDataLoader, LoaderItem, LoaderOptions, create_async_dataloader};
pub use pack::{Algorithm, GreedyPacker, LengthHistogram, PackStats, PackWorkspace, PackerOptions, Packing};
pub use plan::{Plan, Planner, plan_records};
pub use reader::{InputChecksum, InputRemark, ReadLimits, ReadOptions, ReadProgress, Records};
pub use record::{Record, SkipReason, SkippedRecord, shown_id};
pub use shard::{ParseShardError, Shard};
pub use slab::{LengthCounts, TokenSlab};
pub use small_file::{read_at_most, read_small};
pub use tokenize::{BpeTokenizer, EsmTokenizer, Tokenizer};
pub use translate::{Frame, GeneticCode, OpenFrame, Translator};
