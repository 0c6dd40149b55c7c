//! The parts of a run in progress.

use virpack_seq::{Input, InputChecksum};

use super::dir::Checkpoint;
use super::log::Log;
use super::manifest::Manifest;
use super::{Entries, SavedWork};
use crate::Error;
use crate::identity::Identity;

/// A run's parts: the complete ones, and those being written.
pub(crate) struct Parts {
    log: Log,
    // After the log: it removes the directory if nothing is left in it.
    checkpoint: Checkpoint,
}

/// The parts of a run whose output is complete.
pub(crate) struct CompleteParts {
    manifest: Manifest,
    checkpoint: Checkpoint,
}

impl Parts {
    pub(super) fn new(log: Log, checkpoint: Checkpoint) -> Self {
        Parts { log, checkpoint }
    }

    /// Keeps finished work.
    pub(crate) fn keep(&mut self, finished: impl Entries + 'static) -> Result<(), Error> {
        self.log.keep(Box::new(finished))
    }

    /// Keeps all results that are computed and not finished. They replace those kept before.
    pub(crate) fn keep_under_way(&mut self, entries: impl Entries + 'static) -> Result<(), Error> {
        self.log.keep_under_way(Box::new(entries))
    }

    /// Keeps all finished work, because the run ends before its input. Returns `None` if there is none.
    pub(crate) fn interrupt(self) -> Result<Option<SavedWork>, Error> {
        let manifest = self.log.close()?;
        Ok(self.checkpoint.saved(&manifest))
    }

    /// Keeps all finished work, because the run ends with an error.
    pub(crate) fn keep_finished(self) -> Result<(), Error> {
        self.log.keep_open()
    }

    /// Drops the open part, because the output is complete, and returns the identity of the run.
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs that were `read` are not those of the parts. The parts are then
    /// removed, because a run that resumes from them would mix both.
    pub(crate) fn complete(
        self,
        read: &[(Input, Option<InputChecksum>)],
    ) -> Result<(Identity, CompleteParts), Error> {
        let manifest = self.log.drop_open()?;
        if let Err(error) = manifest.identity.check_read(read) {
            self.checkpoint.remove();
            return Err(error.into());
        }
        Ok((manifest.identity.clone(), CompleteParts { manifest, checkpoint: self.checkpoint }))
    }
}

impl CompleteParts {
    /// Records that the output's files are about to be renamed. Drop the result once they are.
    pub(crate) fn publishing(self) -> Result<Checkpoint, Error> {
        self.checkpoint.publishing(self.manifest)?;
        Ok(self.checkpoint)
    }
}
