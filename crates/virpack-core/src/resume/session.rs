//! What an earlier run of the same output has finished, and what this run keeps for a later one.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use virpack_seq::{IndexSet, Input, InputChecksum, ReadProgress};

use super::dir::ExistingRun;
use super::{
    Checkpoint, CheckpointOptions, CompleteParts, CompleteRun, EarlierParts, Entries, Parts, ResumeDir,
    ResumeProblem, ResumeSummary,
};
use crate::Error;
use crate::identity::{Identity, PendingIdentity};

/// The finished work of an earlier run of the same output, and the place for that of this run.
///
/// A run opens it, locks its directory, begins to keep finished work, and completes it. A run that keeps
/// nothing takes the same steps.
pub(crate) struct Session {
    stage: SessionStage,
    earlier: Option<EarlierParts>,
    under_way: Vec<(u64, Vec<u8>)>,
    finished: Arc<IndexSet>,
}

enum SessionStage {
    /// Nothing is kept.
    Off,
    /// The directory was examined.
    Found(ExistingRun),
    /// The directory is locked for this run.
    Taken(Checkpoint),
    /// Finished work goes into parts.
    Keeping(Parts),
}

/// A session whose output is complete and not yet renamed.
pub(crate) struct CompleteSession(Option<(Identity, CompleteParts)>);

impl Session {
    /// Examines what an earlier run has left in `dir`. Nothing is kept without `options`, without `dir`, as
    /// for standard output, or if an input cannot be read twice.
    ///
    /// # Errors
    ///
    /// Returns an error for parts that are neither to be resumed nor replaced, and if inputs that cannot be
    /// read twice are to be resumed.
    pub(crate) fn open(
        dir: Option<ResumeDir>,
        inputs: &[Input],
        options: Option<CheckpointOptions>,
        replace: bool,
    ) -> Result<Self, ResumeProblem> {
        let found = match dir {
            Some(dir) => ExistingRun::of(inputs, dir, options, replace)?,
            None => None,
        };
        let stage = found.map_or(SessionStage::Off, SessionStage::Found);
        Ok(Session { stage, earlier: None, under_way: Vec::new(), finished: Arc::default() })
    }

    /// Returns whether finished work is kept.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self.stage, SessionStage::Off)
    }

    /// Returns whether existing files of the output are replaced without being asked: those of a run that was
    /// killed while it renamed them, or of a complete one, which ends this run ([`Session::complete_run`]).
    pub(crate) fn replaces(&self) -> bool {
        matches!(&self.stage, SessionStage::Found(found) if found.is_publishing() || found.complete().is_some())
    }

    /// Returns the token budget of each model of the earlier run; empty without one.
    pub(crate) fn token_budgets(&self) -> &[usize] {
        match &self.stage {
            SessionStage::Found(found) => found.token_budgets().unwrap_or_default(),
            _ => &[],
        }
    }

    /// Returns the output, if it is complete already and not to be replaced; it ends the run.
    pub(crate) fn complete_run(&self) -> Option<&CompleteRun> {
        match &self.stage {
            SessionStage::Found(found) => found.complete(),
            _ => None,
        }
    }

    /// Locks the directory for this run, and removes what a killed run has begun of the output under one of
    /// `names`.
    ///
    /// # Errors
    ///
    /// Returns an error for a directory that is in use or cannot be created.
    pub(crate) fn take(&mut self, names: &[PathBuf]) -> Result<(), Error> {
        self.stage = match std::mem::replace(&mut self.stage, SessionStage::Off) {
            SessionStage::Found(found) => SessionStage::Taken(found.take(names)?),
            stage => stage,
        };
        Ok(())
    }

    /// Begins to keep finished work, in the locked directory, by `writers` threads: one if
    /// [`Session::keep_under_way`] is called. Returns what is not computed again; `None` if nothing is kept.
    ///
    /// # Errors
    ///
    /// Returns [`ResumeProblem::AnotherRun`] if the parts are of a run that makes other rows.
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

    /// Returns the records or chunks that the earlier run has finished.
    pub(crate) fn finished(&self) -> Arc<IndexSet> {
        Arc::clone(&self.finished)
    }

    /// Returns the parts of the earlier run, once.
    pub(crate) fn take_earlier(&mut self) -> Option<EarlierParts> {
        self.earlier.take()
    }

    /// Returns the computed but unfinished results of the earlier run, once.
    pub(crate) fn take_under_way(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.under_way)
    }

    /// Keeps finished work.
    pub(crate) fn keep(&mut self, finished: impl Entries + 'static) -> Result<(), Error> {
        match &mut self.stage {
            SessionStage::Keeping(parts) => parts.keep(finished),
            _ => Ok(()),
        }
    }

    /// Keeps all results that are computed and not finished. They replace those kept before.
    pub(crate) fn keep_under_way(&mut self, entries: impl Entries + 'static) -> Result<(), Error> {
        match &mut self.stage {
            SessionStage::Keeping(parts) => parts.keep_under_way(entries),
            _ => Ok(()),
        }
    }

    /// Keeps all finished work, because the run ends before its input, and returns the error that reports it.
    pub(crate) fn interrupt(self) -> Error {
        let kept = match self.stage {
            SessionStage::Keeping(parts) => parts.interrupt(),
            _ => Ok(None),
        };
        kept.map_or_else(|error| error, |kept| Error::Interrupted { kept })
    }

    /// Keeps all finished work, because the run ends with `error`, and returns that. `error` is the first
    /// failure: a later one, of the parts themselves, is not reported. After an error that no run can resume
    /// from, the open parts are dropped.
    pub(crate) fn end_with(self, error: Error) -> Error {
        if let SessionStage::Keeping(parts) = self.stage
            && error.can_resume()
        {
            let _ = parts.keep_finished();
        }
        error
    }

    /// Ends the parts, because the output is complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs that were `read` are not those of the parts. The parts are then
    /// removed.
    pub(crate) fn complete(self, read: &[(Input, Option<InputChecksum>)]) -> Result<CompleteSession, Error> {
        match self.stage {
            SessionStage::Keeping(parts) => Ok(CompleteSession(Some(parts.complete(read)?))),
            _ => Ok(CompleteSession(None)),
        }
    }
}

impl CompleteSession {
    /// Returns the identity of the parts; `None` if nothing was kept.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.0.as_ref().map(|(identity, _)| identity)
    }

    /// Renames the output by `publish`, which a run that is killed meanwhile has recorded; then removes the
    /// parts.
    ///
    /// # Errors
    ///
    /// Returns the error of `publish`. The parts stay.
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
