//! A run beside its output: what an earlier run of it has finished, and what this one keeps for a later one.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use virpack_seq::{IndexSet, Input, InputChecksum, ReadProgress};

use super::dir::ExistingRun;
use super::{
    Checkpoint, CheckpointOptions, CompleteParts, CompleteRun, EarlierParts, Entries, Parts, ResumeDir,
    ResumeError, ResumeSummary,
};
use crate::Error;
use crate::identity::{Identity, PendingIdentity};

/// What an earlier run of the same output has finished, and the place of what this run finishes.
///
/// A run opens it, takes its folder, begins to keep what it finishes, and completes it. A run of which nothing is kept goes the
/// same way.
pub(crate) struct Session {
    stage: SessionStage,
    earlier: Option<EarlierParts>,
    under_way: Vec<(u64, Vec<u8>)>,
    finished: Arc<IndexSet>,
}

enum SessionStage {
    /// Nothing is kept.
    Off,
    /// The folder was looked at.
    Found(ExistingRun),
    /// The folder is this run's.
    Taken(Checkpoint),
    /// What is finished goes into parts.
    Keeping(Parts),
}

/// A session whose output is complete, and has no name yet.
pub(crate) struct CompleteSession(Option<(Identity, CompleteParts)>);

impl Session {
    /// Looks for what an earlier run has left in `dir`. Nothing is kept where there are no `options`, an input cannot be read
    /// twice, or there is no `dir`, as of an output that goes to standard output.
    ///
    /// # Errors
    ///
    /// Parts that are neither to be resumed from nor to be replaced, and `--resume` of inputs that cannot be read twice.
    pub(crate) fn open(
        dir: Option<ResumeDir>,
        inputs: &[Input],
        options: Option<CheckpointOptions>,
        replace: bool,
    ) -> Result<Self, ResumeError> {
        let found = match dir {
            Some(dir) => ExistingRun::of(inputs, dir, options, replace)?,
            None => None,
        };
        let stage = found.map_or(SessionStage::Off, SessionStage::Found);
        Ok(Session { stage, earlier: None, under_way: Vec::new(), finished: Arc::default() })
    }

    /// Whether what is finished is kept.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self.stage, SessionStage::Off)
    }

    /// Whether files of the output that exist give way without being asked for: they are those of a run that was killed as
    /// it named them, or of a complete one, which ends this run ([`Session::complete_run`]).
    pub(crate) fn replaces(&self) -> bool {
        matches!(&self.stage, SessionStage::Found(found) if found.is_publishing() || found.complete().is_some())
    }

    /// The token budget of each model of the earlier run; empty where there was none.
    pub(crate) fn token_budgets(&self) -> &[usize] {
        match &self.stage {
            SessionStage::Found(found) => found.token_budgets().unwrap_or_default(),
            _ => &[],
        }
    }

    /// The output, where it is complete already and not to be replaced: what ends the run.
    pub(crate) fn complete_run(&self) -> Option<&CompleteRun> {
        match &self.stage {
            SessionStage::Found(found) => found.complete(),
            _ => None,
        }
    }

    /// Makes the folder this run's, and removes what a killed run has begun of the output, which may have `names`.
    ///
    /// # Errors
    ///
    /// A folder that is in use, or that cannot be made.
    pub(crate) fn take(&mut self, names: &[PathBuf]) -> Result<(), Error> {
        self.stage = match std::mem::replace(&mut self.stage, SessionStage::Off) {
            SessionStage::Found(found) => SessionStage::Taken(found.take(names)?),
            stage => stage,
        };
        Ok(())
    }

    /// Begins to keep what is finished, in the folder that was taken, by `writers` threads: one where
    /// [`Session::keep_under_way`] is called. Gives what is not computed again; None where nothing is kept.
    ///
    /// # Errors
    ///
    /// [`ResumeError::AnotherRun`] where the parts are of a run that makes other rows.
    pub(crate) fn begin(
        &mut self,
        identity: PendingIdentity,
        token_budgets: Vec<usize>,
        reading: Arc<ReadProgress>,
        writers: NonZeroUsize,
    ) -> Result<Option<ResumeSummary>, Error> {
        let SessionStage::Taken(checkpoint) = std::mem::replace(&mut self.stage, SessionStage::Off) else {
            return Ok(None);
        };
        let (parts, earlier, resumed) = checkpoint.begin(identity, token_budgets, reading, writers)?;
        self.stage = SessionStage::Keeping(parts);
        self.finished = earlier.kept.as_ref().map(|kept| Arc::clone(kept.done())).unwrap_or_default();
        (self.earlier, self.under_way) = (earlier.kept, earlier.under_way);
        Ok(Some(resumed))
    }

    /// The records or chunks that the earlier run has finished.
    pub(crate) fn finished(&self) -> Arc<IndexSet> {
        Arc::clone(&self.finished)
    }

    /// Gives the parts of the earlier run, once.
    pub(crate) fn take_earlier(&mut self) -> Option<EarlierParts> {
        self.earlier.take()
    }

    /// Gives what the earlier run had computed and not finished, once.
    pub(crate) fn take_under_way(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.under_way)
    }

    /// Keeps what is finished.
    pub(crate) fn keep(&mut self, finished: impl Entries + 'static) -> Result<(), Error> {
        match &mut self.stage {
            SessionStage::Keeping(parts) => parts.keep(finished),
            _ => Ok(()),
        }
    }

    /// Keeps what is computed and not finished, all of it, in place of what was kept before.
    pub(crate) fn keep_under_way(&mut self, entries: impl Entries + 'static) -> Result<(), Error> {
        match &mut self.stage {
            SessionStage::Keeping(parts) => parts.keep_under_way(entries),
            _ => Ok(()),
        }
    }

    /// Makes what is finished safe, as the run ends before its input; gives the error that says so.
    pub(crate) fn interrupt(self) -> Error {
        let kept = match self.stage {
            SessionStage::Keeping(parts) => parts.interrupt(),
            _ => Ok(None),
        };
        kept.map_or_else(|error| error, |kept| Error::Interrupted { kept })
    }

    /// Makes what is finished safe, as the run ends with `error`, and gives that back. `error` is the first
    /// failure: another one, of the parts themselves, is not reported. After an error that no run can resume
    /// from, the open parts are dropped.
    pub(crate) fn end_with(self, error: Error) -> Error {
        if let SessionStage::Keeping(parts) = self.stage
            && error.can_resume()
        {
            let _ = parts.keep_finished();
        }
        error
    }

    /// Ends the parts, as the output is complete.
    ///
    /// # Errors
    ///
    /// What was `read` of the inputs is not what the parts are said to be of; the parts are removed.
    pub(crate) fn complete(self, read: &[(Input, Option<InputChecksum>)]) -> Result<CompleteSession, Error> {
        match self.stage {
            SessionStage::Keeping(parts) => Ok(CompleteSession(Some(parts.complete(read)?))),
            _ => Ok(CompleteSession(None)),
        }
    }
}

impl CompleteSession {
    /// What the parts are of; None where nothing was kept.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.0.as_ref().map(|(identity, _)| identity)
    }

    /// Gives the output its names by `publish`, which a run that is killed meanwhile has noted; then removes the parts.
    ///
    /// # Errors
    ///
    /// What `publish` returns; the parts stay.
    pub(crate) fn publish<T, E>(self, publish: impl FnOnce() -> Result<T, E>) -> Result<T, Error>
    where
        Error: From<E>,
    {
        let checkpoint = self.0.map(|(_, parts)| parts.publishing()).transpose()?;
        let published = publish()?;
        checkpoint.into_iter().for_each(Checkpoint::remove);
        Ok(published)
    }
}
