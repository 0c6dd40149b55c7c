//! What the user can do about an error, apart from its message.

use std::borrow::Cow;

/// What the user can do about an error or a warning.
///
/// `Display` says what happened and where. The hint is separate and names no option of a program, so that a
/// program can put its own options in its place.
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
    /// Returns a change that works, as a sentence without its full stop, or None if there is none.
    fn hint(&self) -> Option<Cow<'_, str>> {
        None
    }
}
