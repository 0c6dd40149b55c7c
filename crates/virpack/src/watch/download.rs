//! Bars of downloads on stderr. If stderr is not a terminal, nothing is drawn.

use crate::log::{LogArguments, LogFormat};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use std::path::Path;
use virpack_core::model::hub::DownloadProgress;
use virpack_seq::{escaped, shown_path};

/// The bars of a download, one file after the other.
#[derive(Debug)]
pub(crate) struct DownloadBar {
    log: LogArguments,
    quiet: bool,
    bar: Mutex<ProgressBar>,
}

impl DownloadBar {
    /// Returns the bars, for lines for people.
    pub(crate) fn new(log: LogArguments) -> Self {
        let quiet = log.quiet || log.format != LogFormat::Text;
        DownloadBar { log, quiet, bar: Mutex::new(ProgressBar::hidden()) }
    }

    fn with(&self, act: impl FnOnce(&mut ProgressBar)) {
        act(&mut self.bar.lock());
    }
}

impl DownloadProgress for DownloadBar {
    fn start(&self, file: &str, bytes: u64, done: u64) {
        if self.quiet {
            return;
        }
        let style = ProgressStyle::with_template(
            "{msg}  {bar:32} {bytes} of {total_bytes}  {bytes_per_sec}, {eta_precise} left",
        );
        self.with(|bar| {
            *bar = ProgressBar::new(bytes).with_style(style.expect("the template is well-formed"));
            bar.set_message(escaped(file).into_owned());
            bar.set_position(done);
            bar.reset_eta();
        });
    }

    fn advance(&self, bytes: u64) {
        self.with(|bar| bar.inc(bytes));
    }

    fn finish(&self) {
        self.with(|bar| bar.finish());
    }

    fn damaged(&self, file: &Path, problem: &str) {
        let (file, problem) = (shown_path(file), escaped(problem));
        self.log
            .warn(format_args!("{file} in the Hub's cache is damaged, and is downloaded again: {problem}"));
    }
}
