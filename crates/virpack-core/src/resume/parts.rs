//! The parts of a run in progress.

use virpack_seq::{Input, InputChecksum};

use super::dir::Checkpoint;
use super::log::Log;
use super::manifest::Manifest;
use super::{Entries, SavedWork};
use crate::Error;
use crate::identity::Identity;

/// A run's parts: those that are whole, and the one that is being written.
pub(crate) struct Parts {
    log: Log,
    // Behind the log: it removes the folder where nothing is left in it.
    checkpoint: Checkpoint,
}

/// The parts of a run whose output is whole.
pub(crate) struct CompleteParts {
    manifest: Manifest,
    checkpoint: Checkpoint,
}

impl Parts {
    pub(super) fn new(log: Log, checkpoint: Checkpoint) -> Self {
        Parts { log, checkpoint }
    }

    /// Takes what is finished.
    pub(crate) fn keep(&mut self, finished: impl Entries + 'static) -> Result<(), Error> {
        self.log.keep(Box::new(finished))
    }

    /// Takes what is computed and not finished, all of it, in the place of what was before.
    pub(crate) fn keep_under_way(&mut self, entries: impl Entries + 'static) -> Result<(), Error> {
        self.log.keep_under_way(Box::new(entries))
    }

    /// Makes all that is finished safe, as the run ends before its input; None where nothing is.
    pub(crate) fn interrupt(self) -> Result<Option<SavedWork>, Error> {
        let manifest = self.log.close()?;
        Ok(self.checkpoint.saved(&manifest))
    }

    /// Makes all that is finished safe, as the run ends with an error.
    pub(crate) fn keep_finished(self) -> Result<(), Error> {
        self.log.keep_open()
    }

    /// Drops the open part, as the output is whole; gives what the run is of.
    ///
    /// # Errors
    ///
    /// What was `read` of the inputs is not what the parts are said to be of: they go, as a run that resumes from them
    /// would mix both.
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
    /// Notes that the output's files are about to get their names; what it gives goes when they have them.
    pub(crate) fn publishing(self) -> Result<Checkpoint, Error> {
        self.checkpoint.publishing(self.manifest)?;
        Ok(self.checkpoint)
    }
}
