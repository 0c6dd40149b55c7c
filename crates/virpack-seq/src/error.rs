//! The errors between a file and a packed batch.

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
use hints::room;
pub use input::InputError;
pub use suspect::Suspect;
pub use thread::ThreadError;

use crate::escape::shown_path;
use crate::record::shown_id;

/// An error between a file and a packed batch, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeqError {
    /// An input could not be opened.
    #[error("cannot open {}: {source}", shown_path(path))]
    Open {
        /// The input as it was named.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },

    /// An input that cannot be read as sequences.
    #[error(transparent)]
    Input(#[from] InputError),

    // --- letters: alphabet.rs, translate.rs ---
    /// A protein where nucleotides are expected.
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
        /// Its first letter that is not a nucleotide code.
        letter: char,
        /// Letters in it other than A, C, G, T, U and N.
        other: u64,
        /// Letters in it.
        letters: u64,
    },
    /// Nucleotides where a protein is expected.
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
    /// A number that is not a genetic code of NCBI.
    #[error("there is no genetic code {number}")]
    GeneticCode {
        /// The requested number.
        number: u8,
        /// The numbers of the known codes.
        known: String,
    },

    // --- tokenizing: tokenize/bpe.rs ---
    /// A tokenizer file that cannot be used.
    #[error("{}: {problem}", shown_path(path))]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: BpeProblem,
    },

    // --- lengths and the loader: length_policy.rs, loader.rs ---
    /// A record over the maximum length, under the policy that makes such records errors.
    #[error(
        "{}:{line}: record {}: {length} {unit} exceed the maximum length of {max_length}",
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
        /// Residues (or bases) in the record.
        length: u64,
        /// The maximum length, in the same unit.
        max_length: usize,
        /// The unit: `residues` or `bases`.
        unit: &'static str,
    },
    /// Windows whose overlap is so large that a residue would be in more than two of them.
    #[error("windows cannot overlap by {overlap} residues")]
    WindowOverlap {
        /// The requested overlap, in residues.
        overlap: usize,
        /// The largest overlap that is possible, in residues.
        most: usize,
    },
    /// A maximum length of 0, which accepts nothing.
    #[error("the maximum length must be at least 1 residue")]
    MaxLengthZero,
    /// A thread of the loader (`reading`, `tokenizing`, `collating` or `framing`) did not start, or panicked.
    #[error(transparent)]
    Thread(#[from] ThreadError),

    // --- packing: pack.rs, collate.rs, budget.rs ---
    /// A budget that cannot hold the longest sequence that the options allow.
    #[error("a token budget of {token_budget} cannot hold a sequence of {longest} tokens")]
    BudgetTooSmall {
        /// Most tokens in a batch.
        token_budget: usize,
        /// Tokens in the longest sequence that the options allow, special tokens included.
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
    /// A budget whose tokens `cu_seqlens` (int32) cannot count.
    #[error("a token budget of {token_budget} is too large")]
    BudgetTooLarge {
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// A limit on attention cost that the longest sequence exceeds by itself.
    #[error("an attention cost of {max_attention_cost} cannot hold a sequence of {longest} tokens")]
    AttentionCostTooSmall {
        /// Largest sum of squared lengths in a batch, tokens².
        max_attention_cost: u64,
        /// Tokens in the longest sequence that the options allow, special tokens included.
        longest: usize,
    },
    /// An option that is 0 and must be at least 1.
    #[error("{option} must be at least 1")]
    ZeroOption {
        /// The option's name.
        option: &'static str,
    },
    /// A length, given to the packer, that no batch can hold.
    #[error("length {position} is of {tokens} tokens")]
    LengthOutOfRange {
        /// Its place among the lengths, from 0.
        position: usize,
        /// The length, tokens.
        tokens: usize,
        /// The longest sequence that a batch can hold, in tokens.
        longest: usize,
    },
    /// A sequence that reached the packer and alone exceeds the limit on attention cost.
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
    /// A sequence without any token, not even a special one, that reached the packer.
    #[error("record {} has no tokens", shown_id(id))]
    NoTokens {
        /// The record's id.
        id: Arc<str>,
    },
    /// Memory that cannot hold the model and its smallest batch.
    #[error(
        "{} do not hold the model and a batch of {smallest_budget} tokens",
        room(*available, *limit)
    )]
    NotEnoughMemory {
        /// Memory that may be used, bytes.
        available: u64,
        /// Memory that the smallest batch needs, weights and workspace included, bytes.
        needed: u64,
        /// The smallest token budget that the limits allow.
        smallest_budget: usize,
        /// The limit that leaves no more than `available`, for people; None if it is the memory itself.
        limit: Option<&'static str>,
    },
}
