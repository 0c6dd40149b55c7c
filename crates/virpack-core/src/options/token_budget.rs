//! The size of batches.

use std::str::FromStr;

/// The most tokens in a batch.
///
/// ```
/// use virpack_core::TokenBudget;
///
/// assert_eq!("auto".parse(), Ok(TokenBudget::Auto));
/// assert_eq!("4096".parse(), Ok(TokenBudget::Tokens(4096)));
/// assert!("many".parse::<TokenBudget>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenBudget {
    /// As many as fit in the device's free memory, up to the size at which more brings no speed.
    #[default]
    Auto,
    /// This many tokens, special ones included.
    Tokens(usize),
}

/// Text that is not a token budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of tokens, or `auto`")]
pub struct ParseTokenBudgetError;

impl TokenBudget {
    /// Returns the number of tokens, if it is given.
    pub(crate) fn tokens(self) -> Option<usize> {
        match self {
            TokenBudget::Auto => None,
            TokenBudget::Tokens(tokens) => Some(tokens),
        }
    }
}

impl From<usize> for TokenBudget {
    fn from(tokens: usize) -> Self {
        TokenBudget::Tokens(tokens)
    }
}

impl FromStr for TokenBudget {
    type Err = ParseTokenBudgetError;

    fn from_str(text: &str) -> Result<Self, ParseTokenBudgetError> {
        match text {
            "auto" => Ok(TokenBudget::Auto),
            number => number.parse().map(TokenBudget::Tokens).map_err(|_| ParseTokenBudgetError),
        }
    }
}
