//! The destination of an output: a temporary file that is renamed later, or standard output.

use std::fs::File;
use std::io::{self, Stdout, Write};
use std::path::Path;

use super::{OutputError, OutputProblem};
use crate::files::{PendingFile, place};

/// The name of standard output.
pub(super) const STDOUT: &str = "-";

/// Returns whether an output of this name goes to standard output.
///
/// ```
/// use virpack_core::output::is_stdout;
///
/// assert!(is_stdout("-".as_ref()) && !is_stdout("emb.npy".as_ref()));
/// ```
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new(STDOUT)
}

/// Returns whether an output of this name is an object in a store.
pub(crate) fn is_object(path: &Path) -> bool {
    place::url_of(path).is_some()
}

/// A temporary file, or standard output.
pub(super) enum Destination {
    /// A file that is not renamed yet.
    Pending(PendingFile, File),
    /// Standard output, which gets every byte at once.
    Stdout(Stdout),
}

impl Destination {
    /// Opens the destination that `target` names.
    pub(super) fn create(target: &Path) -> Result<Destination, OutputError> {
        if is_stdout(target) {
            return Ok(Destination::Stdout(io::stdout()));
        }
        let (pending, file) = PendingFile::create(target)?;
        Ok(Destination::Pending(pending, file))
    }

    /// Returns the output's name, as given.
    pub(super) fn name(&self) -> &Path {
        match self {
            Destination::Pending(pending, _) => pending.target(),
            Destination::Stdout(_) => Path::new(STDOUT),
        }
    }

    /// Converts an error of the system while the output was being written.
    pub(super) fn failed(&self, source: io::Error) -> OutputError {
        match self {
            Destination::Pending(pending, _) => OutputError::write(pending.target())(source),
            Destination::Stdout(_) => OutputProblem::Stdout(source).into(),
        }
    }

    /// Completes a file on disk, which must then be renamed. Returns `None` for standard output.
    pub(super) fn finish(mut self) -> Result<Option<PendingFile>, OutputError> {
        self.flush().map_err(|error| self.failed(error))?;
        match self {
            Destination::Stdout(_) => Ok(None),
            Destination::Pending(pending, file) => {
                file.sync_all().map_err(OutputError::write(pending.target()))?;
                Ok(Some(pending))
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Destination::Pending(_, file) => file.write(bytes),
            Destination::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Destination::Pending(_, file) => file.flush(),
            Destination::Stdout(stdout) => stdout.flush(),
        }
    }
}
