//! Writes a text file under a temporary name, or to standard output.

use std::io::{BufWriter, Write};
use std::path::Path;

use super::OutputError;
use super::destination::Destination;
use crate::files::PendingFile;

/// Bytes written at once.
const BUFFER: usize = 64 << 10;

/// A text file under a temporary name, or standard output.
pub(crate) struct TextFile(BufWriter<Destination>);

impl TextFile {
    /// Opens the file that will be named `target`, or standard output for `-`.
    pub(crate) fn create(target: &Path) -> Result<TextFile, OutputError> {
        Ok(TextFile(BufWriter::with_capacity(BUFFER, Destination::create(target)?)))
    }

    /// Writes parts, one after the other.
    pub(crate) fn write(&mut self, parts: &[&[u8]]) -> Result<(), OutputError> {
        let mut parts = parts.iter();
        let written = parts.try_for_each(|part| self.0.write_all(part));
        written.map_err(|error| self.0.get_ref().failed(error))
    }

    /// Passes on what is written so far to a reader of standard output.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.0.flush().map_err(|error| self.0.get_ref().failed(error))
    }

    /// Completes the file on disk. It is not renamed yet. Returns `None` for standard output.
    pub(crate) fn finish(mut self) -> Result<Option<PendingFile>, OutputError> {
        self.flush()?;
        self.0.into_parts().0.finish()
    }
}
