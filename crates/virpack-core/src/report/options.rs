//! The options for judging a finished run again.

use virpack_device::available_memory;
use virpack_seq::ReadLimits;

use super::FinishedRun;
use crate::calls::{CallOptions, CallOutputs, Compat, DEFAULT_MAX_PLOTS, Draw};
use crate::options::setters;
use crate::verdict::ContigRule;

/// The options for judging a finished run again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReportOptions {
    pub(super) calls: CallOptions,
    pub(super) compat: Option<Compat>,
    pub(super) contigs: Option<ContigRule>,
    pub(super) plot: Option<Draw>,
    pub(super) max_plots: usize,
    pub(super) sequences: bool,
    pub(super) limits: ReadLimits,
}

impl ReportOptions {
    /// Returns the options with which the run judged, without plots.
    #[must_use]
    pub fn of(run: &FinishedRun) -> Self {
        ReportOptions {
            calls: run.calls(),
            compat: run.compat(),
            contigs: run.contigs(),
            plot: None,
            max_plots: run.max_plots().unwrap_or(DEFAULT_MAX_PLOTS),
            sequences: true,
            limits: ReadLimits::fitting(available_memory()),
        }
    }

    setters! {
        /// Sets what is called viral.
        calls: CallOptions,
        /// Writes VirNucPro's two files, with these columns; None: removes them.
        compat: impl Into<Option<Compat>>,
        /// Writes `contigs.tsv`, the calls of viral-pipelines by this rule; None: removes it.
        contigs: impl Into<Option<ContigRule>>,
        /// Sets the function that draws the score along viral and uncertain records of several chunks, into
        /// `plots/`. Without it, the run's plots are removed.
        plot: impl Into<Option<Draw>>,
        /// Sets the most records that are drawn, the best first.
        max_plots: usize,
        /// Sets whether the inputs are read again if the files of sequences, `viral.fna` and
        /// `proviruses.fna`, change. Without it, these files are then removed.
        sequences: bool,
        /// Sets the largest record and the largest header of the inputs.
        limits: ReadLimits,
    }

    pub(super) fn outputs(&self) -> CallOutputs {
        let draw = self.plot.map(|draw| (draw, self.max_plots));
        CallOutputs { calls: self.calls, compat: self.compat, contigs: self.contigs, draw }
    }
}
