//! What a person can do about an error, apart from what the error says.

use std::borrow::Cow;

/// What a person can do about an error or a warning.
///
/// `Display` says what happened and where. The hint is apart from it, and names no option of any program: a program that
/// has options puts their names in its place.
///
/// ```
/// use virpack_seq::{Hint, SeqError};
///
/// let error = SeqError::MaxLengthZero;
/// assert_eq!(error.to_string(), "the maximum length must be at least 1 residue");
/// let error: &dyn Hint = &error;
/// assert_eq!(error.hint().as_deref(), Some("the largest length must be at least 1"));
/// ```
pub trait Hint {
    /// A change that works, as a sentence without its full stop; None where there is none.
    fn hint(&self) -> Option<Cow<'_, str>> {
        None
    }
}
