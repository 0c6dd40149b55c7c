//! Locks of values that hold after every statement, so that a thread's panic does not spoil them.
//! `virpack-seq`, which this crate is independent of, has the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks whether or not a thread has panicked with the lock.
pub(crate) trait Relock<T> {
    /// Returns the lock.
    fn relock(&self) -> MutexGuard<'_, T>;
}

impl<T> Relock<T> for Mutex<T> {
    fn relock(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
