//! What can go wrong between a file and a packed batch.

mod bam_problem;
mod bpe_problem;
mod change;
mod fault;
mod foreign_format;
mod hint;
mod hints;
mod input;
mod suspect;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;

pub use bam_problem::BamProblem;
pub use bpe_problem::BpeProblem;
pub use change::Change;
pub use foreign_format::ForeignFormat;
pub use hint::Hint;
use hints::megabytes;
pub use input::InputError;
pub use suspect::Suspect;
pub use thread::ThreadError;

use crate::escape::shown_path;
use crate::record::shown_id;

/// What can go wrong between a file and a packed batch, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeqError {
    /// An input could not be opened.
    #[error("cannot open {}: {source}", shown_path(path))]
    Open {
        /// The input as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// An input that cannot be read as sequences.
    #[error(transparent)]
    Input(#[from] InputError),

    // --- letters: alphabet.rs, translate.rs ---
    /// A protein where nucleotides are wanted.
    #[error(
        "{}:{line}: record {} is not a nucleotide sequence: it holds {letter:?}, and {other} of its \
         {letters} letters are not A, C, G, T, U or N",
        shown_path(path),
        shown_id(id)
    )]
    NotNucleotides {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// Its first letter that stands for no nucleotide.
        letter: char,
        /// Letters in it that are none of A, C, G, T, U and N.
        other: u64,
        /// Letters in it.
        letters: u64,
    },
    /// Nucleotides where a protein is wanted.
    #[error(
        "{}:{line}: record {} looks like nucleotides, not a protein: {bases} of its {letters} letters are \
         A, C, G, T, U or N, and no letter occurs in proteins only",
        shown_path(path),
        shown_id(id)
    )]
    NotProtein {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// Letters in it that are A, C, G, T, U or N.
        bases: u64,
        /// Letters in it.
        letters: u64,
    },
    /// A number that NCBI has given to no genetic code.
    #[error("there is no genetic code {number}")]
    GeneticCode {
        /// What was asked for.
        number: u8,
        /// The numbers that there are.
        known: String,
    },

    // --- tokenizing: tokenize/bpe.rs ---
    /// A tokenizer's file that cannot be used.
    #[error("{}: {problem}", shown_path(path))]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: BpeProblem,
    },

    // --- lengths and the loader: long.rs, loader.rs ---
    /// A record over the largest length, where such records are errors.
    #[error(
        "{}:{line}: record {}: {length} residues exceed the maximum length of {max_length}",
        shown_path(path),
        shown_id(id)
    )]
    TooLong {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// Residues in the record.
        length: u64,
        /// Most residues that go through.
        max_length: usize,
    },
    /// Windows that overlap so much that a residue would lie in more than two.
    #[error("windows cannot overlap by {overlap} residues")]
    WindowOverlap {
        /// The overlap asked for, in residues.
        overlap: usize,
        /// The most that works, in residues.
        most: usize,
    },
    /// A largest length that lets nothing through.
    #[error("the maximum length must be at least 1 residue")]
    MaxLengthZero,
    /// A thread of the loader (`reading`, `tokenizing`, `collating` or `framing`) did not start, or panicked.
    #[error(transparent)]
    Thread(#[from] ThreadError),

    // --- packing: pack.rs, collate.rs, budget.rs ---
    /// A budget that cannot hold the longest sequence the options let through.
    #[error("a token budget of {token_budget} cannot hold a sequence of {longest} tokens")]
    BudgetTooSmall {
        /// Most tokens in a batch.
        token_budget: usize,
        /// Tokens in the longest sequence that may come, special tokens included.
        longest: usize,
    },
    /// A sequence longer than any batch reached the packer.
    #[error("record {}: {tokens} tokens exceed the token budget of {token_budget}", shown_id(id))]
    OverBudget {
        /// The record's id.
        id: Arc<str>,
        /// Its tokens, special tokens included.
        tokens: usize,
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// A budget whose tokens `cu_seqlens` (int32) could not count.
    #[error("a token budget of {token_budget} is too large")]
    BudgetTooLarge {
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// A limit on attention cost that the longest sequence alone passes.
    #[error("an attention cost of {max_attention_cost} cannot hold a sequence of {longest} tokens")]
    AttentionCostTooSmall {
        /// Largest sum of squared lengths in a batch, tokens².
        max_attention_cost: u64,
        /// Tokens in the longest sequence that may come, special tokens included.
        longest: usize,
    },
    /// An option that must be at least 1 is 0.
    #[error("{option} must be at least 1")]
    ZeroOption {
        /// The option's name.
        option: &'static str,
    },
    /// A length that no batch can hold was given to the packer.
    #[error("length {position} is of {tokens} tokens")]
    LengthOutOfRange {
        /// Its place among the lengths, from 0.
        position: usize,
        /// The length, tokens.
        tokens: usize,
        /// The longest sequence that a batch holds, tokens.
        longest: usize,
    },
    /// A sequence whose attention alone costs more than a batch may reached the packer.
    #[error(
        "record {}: {tokens} tokens, squared, exceed the attention cost of {max_attention_cost}",
        shown_id(id)
    )]
    OverAttentionCost {
        /// The record's id.
        id: Arc<str>,
        /// Its tokens, special tokens included.
        tokens: usize,
        /// Largest sum of squared lengths in a batch, tokens².
        max_attention_cost: u64,
    },
    /// A sequence without any token, not even special ones, reached the packer.
    #[error("record {} has no tokens", shown_id(id))]
    NoTokens {
        /// The record's id.
        id: Arc<str>,
    },
    /// Memory that does not hold the model and its smallest batch.
    #[error(
        "{} of free memory do not hold the model and a batch of {smallest_budget} tokens",
        megabytes(*available)
    )]
    NotEnoughMemory {
        /// Memory that may be used, bytes.
        available: u64,
        /// Memory that the smallest batch needs, weights and workspace included, bytes.
        needed: u64,
        /// The smallest token budget that the limits allow.
        smallest_budget: usize,
    },
}
