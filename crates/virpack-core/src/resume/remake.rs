//! A complete output of which some files are made again.

use std::path::{Path, PathBuf};

use super::dir::{Checkpoint, ExistingRun};
use super::{Manifest, ResumeDir, RunId};
use crate::Error;
use crate::identity::Identity;

/// The directory of a complete output of which some files are made again, locked.
pub(crate) struct Remake {
    checkpoint: Checkpoint,
    is_torn: bool,
}

impl Remake {
    /// Takes a directory, and removes what a killed process has begun in it, which may have `names`.
    ///
    /// # Errors
    ///
    /// Where another process writes into it, or an unfinished run has kept something there.
    pub(crate) fn take(directory: &Path, names: &[PathBuf]) -> Result<Self, Error> {
        let existing = ExistingRun::to_remake(ResumeDir::inside(directory))?;
        let is_torn = existing.is_publishing();
        Ok(Remake { checkpoint: existing.take(names)?, is_torn })
    }

    /// Whether an earlier process was killed as it gave its files their names: some may be its own.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Gives the files, which are all whole, their names by `publish`. A process that is killed meanwhile has
    /// noted it.
    pub(crate) fn publish<T>(
        self,
        identity: Identity,
        publish: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.checkpoint.publishing(Manifest::new(RunId::new(), identity, Vec::new()))?;
        let published = publish()?;
        self.checkpoint.remove();
        Ok(published)
    }
}
