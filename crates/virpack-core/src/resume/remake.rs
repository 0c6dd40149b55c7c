//! A complete output, some of whose files are made again.

use std::path::{Path, PathBuf};

use super::dir::{Checkpoint, ExistingRun};
use super::{Manifest, ResumeDir, RunId};
use crate::Error;
use crate::identity::Identity;

/// The locked directory of a complete output, some of whose files are made again.
pub(crate) struct Remake {
    checkpoint: Checkpoint,
    is_torn: bool,
}

impl Remake {
    /// Locks a directory, and removes what a killed process has begun in it under one of `names`.
    ///
    /// # Errors
    ///
    /// Returns an error if another process writes into it, or if an unfinished run has kept something there.
    pub(crate) fn take(directory: &Path, names: &[PathBuf]) -> Result<Self, Error> {
        let existing = ExistingRun::to_remake(ResumeDir::inside(directory))?;
        let is_torn = existing.is_publishing();
        Ok(Remake { checkpoint: existing.take(names)?, is_torn })
    }

    /// Returns whether an earlier process was killed while it renamed its files: some may be its own.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Renames the complete files by `publish`. A process that is killed meanwhile has recorded it.
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
