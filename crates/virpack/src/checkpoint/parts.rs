//! A run's parts, while it goes on.

use super::folder::Checkpoint;
use super::log::Log;
use super::{Entries, Saved};
use crate::Error;

/// A run's parts: those that are whole, and the one that is being written.
pub(crate) struct Parts {
    log: Log,
    // Behind the log: it removes the folder where nothing is left in it.
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

    /// Makes all that is finished safe, as the run ends before its input; None where nothing is.
    pub(crate) fn interrupt(self) -> Result<Option<Saved>, Error> {
        let manifest = self.log.close()?;
        Ok(self.checkpoint.saved(&manifest))
    }

    /// Notes that all is done, and that the output's files are about to get their names; drops the open part.
    pub(crate) fn publishing(self) -> Result<Checkpoint, Error> {
        self.checkpoint.publishing(self.log.drop_open()?)?;
        Ok(self.checkpoint)
    }
}
