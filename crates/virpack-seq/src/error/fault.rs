//! Whose fault an error is.

use super::SeqError;

impl SeqError {
    /// Whether this library is at fault, and neither the input nor the options.
    ///
    /// ```
    /// use virpack_seq::{SeqError, ThreadError};
    ///
    /// let panicked = ThreadError::Panicked { thread: "tokenizing", message: None };
    /// assert!(SeqError::from(panicked).is_fault());
    /// assert!(!SeqError::MaxLengthZero.is_fault());
    /// ```
    #[must_use]
    pub fn is_fault(&self) -> bool {
        // What the options let through always fits a batch: the rest are checks of what packs.
        match self {
            SeqError::Thread(error) => error.is_fault(),
            SeqError::OverBudget { .. }
            | SeqError::OverAttentionCost { .. }
            | SeqError::NoTokens { .. }
            | SeqError::LengthOutOfRange { .. } => true,
            _ => false,
        }
    }
}
