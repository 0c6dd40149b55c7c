//! Problems of a byte-pair tokenizer.

use std::borrow::Cow;

use super::Hint;

/// Why a tokenizer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BpeProblem {
    /// Text that does not describe a tokenizer.
    #[error("not a readable tokenizer: {0}")]
    Unreadable(String),
    /// A setting that would give wrong tokens or too many.
    #[error("{setting}, where {expected} was expected")]
    Setting {
        /// The setting.
        setting: String,
        /// The value that it must have.
        expected: &'static str,
    },
}

impl Hint for BpeProblem {
    /// Advises a new copy only for a file that cannot be read: a new copy has the same settings.
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            BpeProblem::Unreadable(_) => "copy or download the model's tokenizer.json again",
            BpeProblem::Setting { .. } => {
                "virpack runs tokenizers as DNABERT-S and DNABERT-2 have them: use that model's own file"
            }
        }))
    }
}
