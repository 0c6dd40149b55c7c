//! The options of runs with checkpoints.

use crate::again;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::text::count;
use crate::values::parse_positive;
use crate::watch::Watch;
use clap::Args;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use virpack_core::CancelToken;
use virpack_core::{CheckpointOptions, ResumeErrorKind, ResumeSummary, SavedWork, Unit};
use virpack_seq::{InputError, SeqError, shown_path};

/// How often finished work is kept, and whether a run resumes.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArguments {
    /// Continue an unfinished run with the same inputs and options; start one if there is none
    #[arg(long)]
    resume: bool,

    /// Write a checkpoint after this many records (`predict`: chunks)
    #[arg(long, value_name = "N", default_value = "10000", value_parser = parse_positive)]
    checkpoint_records: u64,

    /// Write a checkpoint after this many seconds, if that comes first
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_positive)]
    checkpoint_seconds: u64,

    /// Write no checkpoints: an interrupted run starts from the beginning
    #[arg(long, conflicts_with = "resume")]
    no_checkpoint: bool,
}

/// Whether a run already keeps finished work, so that another run can resume from it.
pub(crate) struct Keeps {
    now: Arc<AtomicBool>,
    resume: bool,
}

impl CheckpointArguments {
    pub(crate) fn options(&self) -> Option<CheckpointOptions> {
        let every = Duration::from_secs(self.checkpoint_seconds);
        let options = CheckpointOptions::default().records(self.checkpoint_records).every(every);
        (!self.no_checkpoint).then(|| options.resume(self.resume))
    }

    pub(crate) fn keeps(&self) -> Keeps {
        Keeps { now: Arc::default(), resume: self.resume }
    }
}

impl Keeps {
    /// Handles Ctrl-C and signals to stop from here on. The first one cancels the run if the run keeps
    /// finished work; otherwise, and at the second one, the run ends at once.
    pub(crate) fn heed_signals(&self, log: LogArguments, cancel: &CancelToken) {
        super::stop_when_interrupted(log, cancel.clone(), Arc::clone(&self.now));
    }

    /// Notes that the run keeps finished work from here on, and reports what it resumes from.
    pub(crate) fn begin(&self, watch: &Watch, resumed: &ResumeSummary) {
        self.now.store(true, Ordering::SeqCst);
        let ResumeSummary { saved, torn } = resumed;
        let SavedWork { finished, unit, under_way, .. } = *saved;
        for (part, reason) in torn {
            watch.warn(format_args!("{}: {reason}: what was in it is computed again", shown_path(part)));
        }
        let [one, many] = match unit {
            Unit::Records => ["record is", "records are"],
            Unit::Chunks => ["chunk is", "chunks are"],
        };
        let more = match under_way {
            0 => String::new(),
            n => format!(", with {} for more", count(n, "embedding", "embeddings")),
        };
        match saved.is_some() {
            _ if !self.resume => (),
            false => watch.info("nothing to resume: starting from the beginning"),
            true => watch.info(format_args!("resuming: {} finished{more}", count(finished, one, many))),
        }
    }

    /// Returns the results of a run; None if the output was already complete, which is reported. If the run
    /// failed, the error has the command that resumes from the `saved` work, made from the `command_line`.
    pub(crate) fn end<T>(
        &self,
        log: LogArguments,
        command_line: &[OsString],
        result: Result<T, virpack_core::Error>,
        saved: impl FnOnce() -> Option<SavedWork>,
    ) -> Result<Option<T>, Failure> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(virpack_core::Error::Resume(complete)) if complete.kind() == ResumeErrorKind::Complete => {
                log.info(complete);
                Ok(None)
            }
            // The checkpoint belongs to the unchanged input: to resume would be refused.
            Err(error @ virpack_core::Error::Seq(SeqError::Input(InputError::Changed { .. }))) => {
                Err(error.into())
            }
            Err(error) if self.now.load(Ordering::SeqCst) && saved().is_some() => {
                let command = again::with_resume(command_line);
                Err(Failure::Resumable { error: Box::new(error), command })
            }
            Err(error) => Err(error.into()),
        }
    }
}
