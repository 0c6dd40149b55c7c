//! The options for judging a finished run again.

use virpack_device::available_memory;
use virpack_seq::ReadLimits;

use super::FinishedRun;
use crate::calls::CallOptions;
use crate::options::setters;

/// The options for judging a finished run again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReportOptions {
    pub(super) calls: CallOptions,
    pub(super) sequences: bool,
    pub(super) limits: ReadLimits,
}

impl ReportOptions {
    /// Returns the options with which the run judged, without plots.
    #[must_use]
    pub fn of(run: &FinishedRun) -> Self {
        ReportOptions { calls: run.calls(), sequences: true, limits: ReadLimits::fitting(available_memory()) }
    }

    setters! {
        /// Sets what is called viral, and which files list it. The run's files that are not among them are
        /// removed.
        calls: CallOptions,
        /// Sets whether the inputs are read again if the files of sequences, `viral.fna` and
        /// `proviruses.fna`, change. Without it, these files are then removed.
        sequences: bool,
        /// Sets the largest record and the largest header of the inputs.
        limits: ReadLimits,
    }
}
