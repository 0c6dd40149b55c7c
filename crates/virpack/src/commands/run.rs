//! Options that `embed` and `predict` share, and what both do before and after a run.

use super::checkpoint::{CheckpointArguments, Keeps};
use super::device::DeviceArguments;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::values::parse_positive;
use crate::watch::Watch;
use clap::Args;
use std::ffi::OsString;
use std::time::Duration;
use virpack_core::{CancelToken, CheckpointOptions, DeviceOptions, Error, SavedWork};

/// What runs the models of a run, and how long it is waited for.
#[derive(Debug, Args)]
pub(crate) struct RunDeviceArguments {
    #[command(flatten)]
    device: DeviceArguments,

    /// Give up on a device that returns nothing for this many seconds [default: wait forever]
    #[arg(long, value_name = "SECONDS", value_parser = parse_positive)]
    device_timeout: Option<u64>,
}

/// What is kept and shown of a run.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    checkpoint: CheckpointArguments,

    #[command(flatten)]
    pub(crate) log: LogArguments,

    /// The complete command line, the program's name first.
    #[arg(skip)]
    pub(crate) command_line: Vec<OsString>,
}

impl RunDeviceArguments {
    pub(crate) fn options(&self) -> DeviceOptions {
        self.device.options()
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.device_timeout.map(Duration::from_secs)
    }
}

impl RunArguments {
    pub(crate) fn checkpoint(&self) -> Option<CheckpointOptions> {
        self.checkpoint.options()
    }

    /// Runs, and ends the run at a signal to stop. Returns None if the output was already complete, which
    /// is reported. An error names the command that resumes from the `saved` work.
    pub(crate) fn run<T>(
        &self,
        run: impl FnOnce(&Watch, &Keeps, &CancelToken) -> Result<T, Error>,
        saved: impl FnOnce() -> Option<SavedWork>,
    ) -> Result<Option<T>, Failure> {
        let (keeps, cancel) = (self.checkpoint.keeps(), CancelToken::new());
        keeps.heed_signals(self.log, &cancel);
        let watch = Watch::new(self.log);
        let result = run(&watch, &keeps, &cancel);
        watch.finish();
        keeps.end(self.log, &self.command_line, result, saved)
    }
}
