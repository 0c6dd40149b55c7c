//! Files without a name, for what must wait before it goes to standard output.

use std::fs::File;
use std::io;

use super::OutputError;

/// Opens one where the system keeps temporary files (`TMPDIR`). It is gone with the process, however that ends.
pub(super) fn create() -> Result<File, OutputError> {
    tempfile::tempfile().map_err(failed)
}

/// Wraps what the system said of one.
pub(super) fn failed(source: io::Error) -> OutputError {
    OutputError::Scratch { directory: std::env::temp_dir(), source }
}
