//! What can go wrong between a file and a packed batch.

use std::path::PathBuf;
use std::sync::Arc;

/// What can go wrong between a file and a packed batch, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeqError {
    /// An input could not be opened.
    #[error("cannot open {}: {source}\nhint: check the path and its permissions", path.display())]
    Open {
        /// The input as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    // --- packing: pack.rs, collate.rs, budget.rs ---
    /// A budget that cannot hold the longest sequence the options let through.
    #[error(
        "a token budget of {token_budget} cannot hold a sequence of {longest} tokens\n\
         hint: the smallest budget that works is {longest}"
    )]
    BudgetTooSmall {
        /// Most tokens in a batch.
        token_budget: usize,
        /// Tokens in the longest sequence that may come, special tokens included.
        longest: usize,
    },
    /// A sequence longer than any batch reached the packer.
    #[error("record {id}: {tokens} tokens are over the token budget of {token_budget}")]
    OverBudget {
        /// The record's id.
        id: Arc<str>,
        /// Its tokens, special tokens included.
        tokens: usize,
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// A budget whose tokens `cu_seqlens` (int32) could not count.
    #[error("a token budget of {token_budget} is too large\nhint: the largest is 2147483647")]
    BudgetTooLarge {
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// A limit on attention cost that the longest sequence alone passes.
    #[error(
        "an attention cost of {max_attention_cost} cannot hold a sequence of {longest} tokens\n\
         hint: the smallest that works is the square of {longest}"
    )]
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
    #[error(
        "length {position} is of {tokens} tokens\nhint: a batch holds sequences of 1 to {longest} tokens"
    )]
    LengthOutOfRange {
        /// Its place among the lengths, from 0.
        position: usize,
        /// The length, tokens.
        tokens: usize,
        /// The longest sequence that a batch holds, tokens.
        longest: usize,
    },
    /// A sequence whose attention alone costs more than a batch may reached the packer.
    #[error("record {id}: {tokens} tokens, squared, are over the attention cost of {max_attention_cost}")]
    OverAttentionCost {
        /// The record's id.
        id: Arc<str>,
        /// Its tokens, special tokens included.
        tokens: usize,
        /// Largest sum of squared lengths in a batch, tokens².
        max_attention_cost: u64,
    },
    /// A sequence without any token, not even special ones, reached the packer.
    #[error("record {id} has no tokens")]
    NoTokens {
        /// The record's id.
        id: Arc<str>,
    },
    /// Memory that does not hold the model and its smallest batch.
    #[error(
        "{available} bytes of memory do not hold the model and a batch of {smallest_budget} tokens\n\
         hint: {needed} bytes are needed"
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
