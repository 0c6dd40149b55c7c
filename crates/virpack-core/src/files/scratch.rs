//! Files without a name, for what must wait before it goes to standard output.

use std::fs::File;
use std::io;

use super::FileProblem;

/// Opens one where the system keeps temporary files (`TMPDIR`). It is gone with the process, however that ends.
pub(crate) fn create() -> Result<File, FileProblem> {
    tempfile::tempfile().map_err(failed)
}

/// Wraps what the system said of one.
pub(crate) fn failed(source: io::Error) -> FileProblem {
    FileProblem::Scratch { directory: std::env::temp_dir(), source }
}
