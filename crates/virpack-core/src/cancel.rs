//! Cancels a run from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cancels runs from another thread or a signal handler. Its clones share one state.
///
/// ```
/// use virpack_core::CancelToken;
///
/// let cancel = CancelToken::new();
/// let in_handler = cancel.clone();
/// in_handler.cancel();
/// assert!(cancel.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Makes a token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        CancelToken::default()
    }

    /// Cancels the runs that have this token. Their devices finish the batches in flight, and finished work
    /// is kept.
    ///
    /// ```
    /// use virpack_core::CancelToken;
    ///
    /// let token = CancelToken::new();
    /// let of_another_thread = token.clone();
    /// std::thread::spawn(move || of_another_thread.cancel()).join().unwrap();
    /// assert!(token.is_cancelled());
    /// ```
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether [`CancelToken::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
