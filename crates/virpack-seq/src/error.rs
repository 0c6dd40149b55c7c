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
}
