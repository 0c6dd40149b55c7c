//! One file that is no table of embeddings, written as carefully.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{OutputError, check_free};
use crate::files::PendingFile;
use crate::files::StagedFiles;

/// Writes a file aside and names it when it is whole; an older one gives way only by `force`.
///
/// # Errors
///
/// As [`check_free`], and where the file cannot be written.
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
