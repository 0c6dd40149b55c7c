//! Rust state behind a Python object. It is valid in one process only, and does not block Ctrl-C.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

/// A value that belongs to one process, for one caller at a time.
///
/// Threads and locks do not survive a fork. A child that used the value would wait forever, and one that
/// continued to read the same file would take bytes from its parent. So a child gets an error, and drops
/// its reference without touching the value.
pub(crate) struct Handle<T> {
    process: u32,
    value: Option<Mutex<T>>,
}

impl<T> Handle<T> {
    pub(crate) fn new(value: T) -> Self {
        Handle { process: std::process::id(), value: Some(Mutex::new(value)) }
    }

    /// Returns the value. If another thread has it, waits without holding the interpreter.
    ///
    /// # Errors
    ///
    /// A `RuntimeError` in any process other than the one that made the handle.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, T>>
    where
        T: Send,
    {
        let here = std::process::id();
        if here != self.process {
            return Err(PyRuntimeError::new_err(format!(
                "this object was made in process {}, and process {here} is a fork of it\nhint: make it in \
                 the process that uses it",
                self.process
            )));
        }
        let value = self.value.as_ref().expect("only `drop` takes it");
        Ok(value.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            std::mem::forget(self.value.take());
        }
    }
}
