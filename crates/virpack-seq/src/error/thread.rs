//! The errors of threads.

use std::any::Any;
use std::borrow::Cow;
use std::io;

use super::Hint;

/// An error of a thread in any of virpack's crates.
///
/// ```
/// use virpack_seq::{Hint, ThreadError};
///
/// let panic = std::thread::spawn(|| panic!("an odd letter")).join().unwrap_err();
/// let error = ThreadError::panicked("tokenizing", &*panic);
/// assert_eq!(error.to_string(), "the tokenizing thread panicked: an odd letter");
/// assert_eq!(error.hint().as_deref(), Some("this is a fault of virpack's: report it"));
/// assert!(error.is_fault());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ThreadError {
    /// A thread that the system did not start.
    #[error("cannot start the {thread} thread: {source}")]
    NotStarted {
        /// The task of the thread.
        thread: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A thread that panicked: a fault of virpack, or of a tokenizer that the caller supplied.
    #[error("the {thread} thread panicked{}", match message {
        Some(message) => format!(": {message}"),
        None => String::new(),
    })]
    Panicked {
        /// The task of the thread.
        thread: &'static str,
        /// The message of the panic, if it is known.
        message: Option<String>,
    },
}

impl ThreadError {
    /// Returns the error of a thread whose `JoinHandle` or `catch_unwind` gave `panic`.
    #[must_use]
    pub fn panicked(thread: &'static str, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        ThreadError::Panicked { thread, message: text.map(str::to_owned) }
    }

    /// Returns whether virpack is at fault, and not the machine.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self, ThreadError::Panicked { .. })
    }
}

impl Hint for ThreadError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            ThreadError::NotStarted { .. } => {
                "raise the limit on processes or memory (ulimit -u, ulimit -v, the container's), or end \
                 other programs"
            }
            ThreadError::Panicked { .. } => "this is a fault of virpack's: report it",
        }))
    }
}
