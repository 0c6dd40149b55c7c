//! Bars on stderr; where stderr is no terminal, nothing is drawn.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;
use virpack::model::hub::DownloadProgress;

/// The bar of a run over input files.
#[derive(Debug)]
pub(crate) struct RunBar(ProgressBar);

impl RunBar {
    /// A bar, or none with `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        RunBar(if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() })
    }

    /// Shows how far the run is: by bytes where the inputs' size is known, which gives a time left.
    pub(crate) fn update(&self, progress: virpack::embed::Progress) {
        let bar = &self.0;
        if bar.position() == 0 {
            let template = match progress.total_bytes {
                Some(total) => {
                    bar.set_length(total);
                    "{bar:32} {percent:>3} %  {msg}  {elapsed_precise} gone, {eta_precise} left"
                }
                None => "{spinner} {msg}  {elapsed_precise} gone",
            };
            bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
        }
        // The readers are ahead of the model: what is read and not yet embedded counts as done only for the
        // bar's length, so its end waits for the last batch.
        bar.set_position(progress.bytes);
        let rate = progress.records as f64 / bar.elapsed().as_secs_f64().max(1e-3);
        bar.set_message(format!(
            "{}, {}records/s",
            crate::text::count(progress.records, "record", "records"),
            crate::text::short(rate)
        ));
    }

    /// Says a line above the bar.
    pub(crate) fn say(&self, line: impl std::fmt::Display) {
        self.0.suspend(|| crate::text::say(line));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// The bars of a download, one file after the other.
#[derive(Debug)]
pub(crate) struct DownloadBar {
    quiet: bool,
    bar: Mutex<ProgressBar>,
}

impl DownloadBar {
    /// Bars, or none with `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        DownloadBar { quiet, bar: Mutex::new(ProgressBar::hidden()) }
    }

    fn with(&self, act: impl FnOnce(&mut ProgressBar)) {
        act(&mut self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
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
            bar.set_message(file.to_owned());
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
}
