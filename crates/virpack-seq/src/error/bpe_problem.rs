//! Why a tokenizer of byte pairs cannot be used.

use std::borrow::Cow;

use super::Hint;

/// Why a tokenizer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BpeProblem {
    /// Text that describes no tokenizer.
    #[error("not a readable tokenizer: {0}")]
    Unreadable(String),
    /// A setting under which tokens would be wrong or too many.
    #[error("{setting}, where {expected} was expected")]
    Setting {
        /// What it is.
        setting: String,
        /// What it must be.
        expected: &'static str,
    },
}

impl Hint for BpeProblem {
    /// Another copy of a file that is whole is no better.
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            BpeProblem::Unreadable(_) => "copy or download the model's tokenizer.json again",
            BpeProblem::Setting { .. } => {
                "virpack runs tokenizers as DNABERT-S and DNABERT-2 have them: use that model's own file"
            }
        }))
    }
}
