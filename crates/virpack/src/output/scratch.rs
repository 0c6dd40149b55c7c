//! A directory for what is whole before it goes to standard output.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::OutputError;
use super::aside::{abandoned_with_the_process, no_longer_abandoned};

/// A directory of this process's own where the system keeps temporary files (`TMPDIR`), removed with all in it when it is
/// dropped or the process is interrupted.
#[derive(Debug)]
pub struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Makes the directory, which nobody else can read.
    ///
    /// # Errors
    ///
    /// [`OutputError::Directory`] where it cannot be made.
    pub fn create() -> Result<ScratchFolder, OutputError> {
        let place = std::env::temp_dir();
        for attempt in 0..1000 {
            let path = place.join(format!("virpack-{}-{attempt}", std::process::id()));
            match abandoned_with_the_process(&path, || make_private(&path)) {
                Ok(()) => return Ok(ScratchFolder(path)),
                // A dead process of the same number has left its own.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(OutputError::Directory { directory: place, source }),
            }
        }
        let source = ErrorKind::AlreadyExists.into();
        Err(OutputError::Directory { directory: place, source })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        let _ = no_longer_abandoned(&self.0, || fs::remove_dir_all(&self.0));
    }
}

#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> std::io::Result<()> {
    fs::create_dir(path)
}
