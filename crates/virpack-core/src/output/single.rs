//! Writes a single file that holds no embeddings, with the same care.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{OutputError, check_free};
use crate::files::PendingFile;
use crate::files::StagedFiles;

/// Writes a temporary file and renames it when it is complete. Replaces an existing one only with `force`.
///
/// # Errors
///
/// Returns the errors of [`check_free`], and an error if the file cannot be written.
pub fn write_file(
    path: &Path,
    force: bool,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), OutputError> {
    check_free(path, force)?;
    let (pending, mut file) = PendingFile::create(path)?;
    write(&mut file).and_then(|()| file.sync_all()).map_err(OutputError::write(path))?;
    Ok(StagedFiles { main: pending, sides: Vec::new() }.publish(force, &[])?)
}
