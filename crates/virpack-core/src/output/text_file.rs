//! A file of text that is written aside, or to standard output.

use std::io::{BufWriter, Write};
use std::path::Path;

use super::OutputError;
use super::destination::Destination;
use crate::files::PendingFile;

/// Bytes written at once.
const BUFFER: usize = 64 << 10;

/// A file of text that is written aside, or to standard output.
pub(crate) struct TextFile(BufWriter<Destination>);

impl TextFile {
    /// Opens the file that is named `target` in the end, or standard output where that is `-`.
    pub(crate) fn create(target: &Path) -> Result<TextFile, OutputError> {
        Ok(TextFile(BufWriter::with_capacity(BUFFER, Destination::create(target)?)))
    }

    /// Writes parts, one after the other.
    pub(crate) fn write(&mut self, parts: &[&[u8]]) -> Result<(), OutputError> {
        let mut parts = parts.iter();
        let written = parts.try_for_each(|part| self.0.write_all(part));
        written.map_err(|error| self.0.get_ref().failed(error))
    }

    /// Hands on to a reader of standard output what is written so far.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.0.flush().map_err(|error| self.0.get_ref().failed(error))
    }

    /// Makes the file whole on disk; it has no name yet. None where all went to standard output.
    pub(crate) fn finish(mut self) -> Result<Option<PendingFile>, OutputError> {
        self.flush()?;
        self.0.into_parts().0.finish()
    }
}
