//! A file of text that is written aside.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::OutputError;
use super::aside::Aside;

/// Bytes written at once.
const BUFFER: usize = 64 << 10;

/// A file of text that is written aside.
pub(crate) struct TextFile {
    aside: Aside,
    out: BufWriter<File>,
}

impl TextFile {
    /// Opens the file that is named `target` in the end.
    pub(crate) fn create(target: &Path) -> Result<TextFile, OutputError> {
        let (aside, file) = Aside::create(target)?;
        Ok(TextFile { aside, out: BufWriter::with_capacity(BUFFER, file) })
    }

    /// Writes parts, one after the other.
    pub(crate) fn write(&mut self, parts: &[&[u8]]) -> Result<(), OutputError> {
        let mut parts = parts.iter();
        parts.try_for_each(|part| self.out.write_all(part)).map_err(OutputError::write(self.aside.target()))
    }

    /// Makes the file whole on disk; it has no name yet.
    pub(crate) fn finish(self) -> Result<Aside, OutputError> {
        let TextFile { aside, out } = self;
        let synced = out.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
        synced.map_err(OutputError::write(aside.target()))?;
        Ok(aside)
    }
}
