//! Unnamed files, for data that is kept until it can go to standard output.

use std::fs::File;
use std::io;

use super::FileProblem;

/// Opens a file in the system's temporary directory (`TMPDIR`). It disappears with the process, however that
/// ends.
pub(crate) fn create() -> Result<File, FileProblem> {
    tempfile::tempfile().map_err(failed)
}

/// Converts an error of the system for such a file.
pub(crate) fn failed(source: io::Error) -> FileProblem {
    FileProblem::Scratch { directory: std::env::temp_dir(), source }
}
