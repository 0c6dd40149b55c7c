//! Packs sequences of different lengths into dense token batches, for any engine.
//!
//! Models for proteins and nucleotides take a batch as tokens end to end, with the boundaries between
//! sequences (`cu_seqlens`), so that nothing is padded. This crate decides which sequences share a batch.
//! It reads, tokenizes and packs FASTA, FASTQ and BAM on its own threads. It is independent of models and
//! devices.
//!
//! # Pack a list of lengths
//!
//! ```
//! use virpack_seq::{GreedyPacker, PackerOptions};
//!
//! // Batches of at most 100 tokens, for sequences of at most 60.
//! let packer = GreedyPacker::new(PackerOptions::new(100, 60))?;
//! let lengths = [30, 60, 50, 40, 20];
//! let packing = packer.pack(&lengths)?;
//! let batches: Vec<&[u32]> = packing.iter().collect();
//! assert_eq!(batches, [&[1, 3][..], &[2, 0, 4]]); // positions in `lengths`: 60 + 40, 50 + 30 + 20
//! assert_eq!(packer.stats(&lengths, &packing).efficiency(), 1.0);
//! # Ok::<(), virpack_seq::SeqError>(())
//! ```
//!
//! `examples/pack_lengths.rs` does the same for lengths from standard input.
//!
//! # Read a FASTA file into batches
//!
//! ```
//! use virpack_seq::*;
//!
//! # let path = std::env::temp_dir().join("virpack-doc-page.fasta");
//! # std::fs::write(&path, ">a\nMKTLLV\n>b\nMK\n>c\n")?;
//! let records = reader::open(&[path.into()])?;
//! let options = LoaderOptions::default(); // at most 1,022 residues, longer records truncated
//! let packer = GreedyPacker::new(PackerOptions::new(4096, options.lengths.max_tokens()))?;
//! let collator = VarlenCollator::new(packer, CollatorOptions::default())?;
//! for item in create_async_dataloader(records, EsmTokenizer::new(), collator, options)? {
//!     match item? {
//!         LoaderItem::Batch(batch) => {
//!             assert_eq!(batch.cu_seqlens, [0, 8, 12]); // <cls> MKTLLV <eos>, <cls> MK <eos>
//!             assert_eq!(&*batch.index[0].id, "a");
//!         }
//!         LoaderItem::Skipped(records) => assert_eq!(records[0].reason.as_str(), "empty"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to look
//!
//! | to | see |
//! | --- | --- |
//! | pack lengths, for an engine of your own | [`GreedyPacker`] |
//! | pack tokenized sequences as they come | [`VarlenCollator`] |
//! | read records one by one | [`reader::open`], [`Records`] |
//! | turn letters into token ids | [`tokenize`]: [`EsmTokenizer`], [`BpeTokenizer`], [`CodonTokenizer`] |
//! | truncate, window or skip long records | [`LengthPolicy`] |
//! | do all of it on threads | [`create_async_dataloader`] |
//! | find out what packing gains, without a model | [`Planner`] |
//! | choose a token budget for the memory at hand | [`calculate_token_budget`] |
//! | cut nucleotides into chunks and open reading frames | [`chunks`], [`Translator`], [`frames`] |

#![forbid(unsafe_code)]

mod alphabet;
mod batch;
mod budget;
mod chunk;
mod collate;
mod error;
mod escape;
pub mod frames;
mod grouped;
mod index_set;
mod input;
mod length_policy;
mod letters;
mod loader;
mod pack;
mod plan;
pub mod reader;
mod record;
mod shard;
mod slab;
mod small_file;
pub mod tokenize;
mod translate;

pub use alphabet::{Alphabet, AlphabetSample, expect_nucleotides};
pub use batch::{PackedBatch, SequenceIndex, Window};
pub use budget::{BudgetLimits, Footprint, calculate_token_budget};
pub use chunk::{Chunks, chunks};
pub use collate::{CollatorCounters, CollatorOptions, VarlenCollator};
pub use error::{Hint, InputError, SeqError, ThreadError};
pub use escape::{escaped, escaped_json, escaped_lines, shown_path};
pub use grouped::grouped;
pub use index_set::IndexSet;
pub use input::Input;
pub use length_policy::{LengthPolicy, LongRecords};
pub use loader::{AsyncDataLoader, LoaderCounters, LoaderItem, LoaderOptions, create_async_dataloader};
pub use pack::{
    Algorithm, Batches, EfficiencyLevel, EfficiencyReason, EfficiencyWarning, GreedyPacker, LengthHistogram,
    PackStats, PackWorkspace, PackerOptions, Packing,
};
pub use plan::{Plan, Planner, plan_records};
pub use reader::{InputChecksum, InputRemark, ReadLimits, ReadOptions, ReadProgress, Records};
pub use record::{Record, SkipReason, SkippedRecord, shown_id};
pub use shard::{ParseShardError, Shard};
pub use slab::LengthCounts;
#[doc(hidden)]
pub use slab::TokenSlab;
pub use small_file::{read_at_most, read_small};
pub use tokenize::{BpeTokenizer, CodonTokenizer, EsmTokenizer, Tokenizer};
pub use translate::{Frame, GeneticCode, OpenFrame, Translator};
pub use virpack_store::ObjectUrl;
