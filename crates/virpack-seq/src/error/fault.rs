//! Distinguishes faults of virpack from those of inputs and options.

use super::SeqError;

impl SeqError {
    /// Returns whether virpack is at fault, and not the input or the options.
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
        // The options allow only sequences that fit a batch, so an error of the packer is a fault.
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
