//! Shows the progress of a run: a bar on a terminal, lines at intervals elsewhere.

mod download;
mod meter;

pub(crate) use download::DownloadBar;

use crate::log::{LogArguments, LogFormat, object};
use crate::messages::Message;
use crate::text::{count, say, short};
use indicatif::{FormattedDuration, ProgressBar, ProgressStyle};
use meter::{ChunkFigures, DeviceFigures, Figures, Meter};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use virpack_core::Progress;

/// Steps of a bar.
const STEPS: u64 = 1_000;
/// How often a bar's clock is updated.
const TICK: Duration = Duration::from_millis(500);

/// The display of a run.
#[derive(Debug)]
pub(crate) struct Watch {
    log: LogArguments,
    bar: ProgressBar,
    /// None before the run has begun.
    meter: Arc<Mutex<Option<Meter>>>,
    lines: Option<Lines>,
}

/// A thread that writes a line at intervals, whether or not there is progress.
#[derive(Debug)]
struct Lines {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Returns a display that is empty until the run begins, and stays so with `--quiet`.
    pub(crate) fn new(log: LogArguments) -> Watch {
        let has_bar = !log.quiet && log.format == LogFormat::Text && std::io::stderr().is_terminal();
        let bar = if has_bar { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let meter = Arc::new(Mutex::new(None));
        // If the system starts no thread, there are no lines.
        let lines = (!log.quiet && !has_bar).then(|| Lines::start(log, Arc::clone(&meter)));
        Watch { log, bar, meter, lines: lines.and_then(Result::ok) }
    }

    /// Begins the display: models are being loaded.
    pub(crate) fn begin(&self) {
        *self.meter.lock() = Some(Meter::new(Instant::now()));
        self.bar.reset_elapsed();
    }

    /// Updates the progress of the run.
    pub(crate) fn update(&self, progress: Progress) {
        let now = Instant::now();
        let mut meter = self.meter.lock();
        let meter = meter.get_or_insert_with(|| Meter::new(now));
        meter.add(now, progress);
        if !self.bar.is_hidden() {
            self.draw(&meter.figures(now));
        }
    }

    fn draw(&self, figures: &Figures) {
        let bar = &self.bar;
        if bar.message().is_empty() {
            let template = match figures.progress.done {
                Some(_) => "{bar:32} {percent:>3} %  {elapsed_precise} elapsed{msg}",
                None => "{spinner} {elapsed_precise} elapsed{msg}",
            };
            bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
            bar.set_length(STEPS);
            bar.enable_steady_tick(TICK);
        }
        bar.set_position((figures.progress.done.unwrap_or(0.0) * STEPS as f64) as u64);
        let devices = figures.devices.iter().map(|device| format!("\n  {}", device_line(device)));
        // No line is wider than 80 columns, which many terminals have.
        bar.set_message(format!("{}\n  {}{}", left(figures), records(figures), devices.collect::<String>()));
    }

    /// Prints information, above the bar.
    pub(crate) fn info(&self, message: impl Into<Message>) {
        self.bar.suspend(|| self.log.info(message));
    }

    /// Prints a warning, above the bar.
    pub(crate) fn warn(&self, message: impl Into<Message>) {
        self.bar.suspend(|| self.log.warn(message));
    }

    /// Ends the display: removes the bar.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
        if let Some(Lines { stop, thread }) = self.lines {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Lines {
    fn start(log: LogArguments, meter: Arc<Mutex<Option<Meter>>>) -> std::io::Result<Lines> {
        let (stop, stopped) = channel::<()>();
        let write = move || {
            while stopped.recv_timeout(log.interval()) == Err(RecvTimeoutError::Timeout) {
                let meter = meter.lock();
                match meter.as_ref().map(|meter| meter.figures(Instant::now())) {
                    None => (),
                    Some(figures) if log.format == LogFormat::Json => object("progress", fields(&figures)),
                    Some(figures) => say(line(&figures)),
                }
            }
        };
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(write)?;
        Ok(Lines { stop, thread })
    }
}

/// Returns the progress as a line.
fn line(figures: &Figures) -> String {
    let done = figures.progress.done.map_or_else(String::new, |done| format!("{:.1} %, ", 100.0 * done));
    let devices = figures.devices.iter().map(|device| format!("; {}", device_line(device)));
    let elapsed = FormattedDuration(figures.elapsed);
    let (left, records) = (left(figures), records(figures));
    format!("{done}{elapsed} elapsed{left}, {records}{}", devices.collect::<String>())
}

fn left(figures: &Figures) -> String {
    figures.left.map_or_else(String::new, |left| format!(", {} left", FormattedDuration(left)))
}

fn records(figures: &Figures) -> String {
    let records = count(figures.progress.records, "record", "records");
    match figures.chunks {
        // A record of many chunks is finished when all of its chunks are.
        Some(ChunkFigures { progress, bases_per_second, .. }) => {
            let chunks = count(progress.chunks, "chunk", "chunks");
            format!("{chunks}, {records}, {}bases/s", short(bases_per_second))
        }
        None => format!("{records}, {}records/s", short(figures.records_per_second)),
    }
}

fn device_line(device: &DeviceFigures) -> String {
    let progress = &device.progress;
    let model = progress.model.map_or_else(String::new, |model| format!("{model} on "));
    let packing = progress.tally.packing_efficiency(progress.token_budget);
    let packing = packing.map_or_else(String::new, |share| format!("packing {:.1} %, ", 100.0 * share));
    let (rate, busy) = (short(device.tokens_per_second), 100.0 * device.busy);
    format!("{model}device {}: {rate}tokens/s, {packing}busy {busy:.0} %", progress.device)
}

/// Returns the progress as an object.
fn fields(figures: &Figures) -> Map<String, Value> {
    let progress = &figures.progress;
    let device = |device: &DeviceFigures| {
        let DeviceFigures { progress, tokens_per_second, busy } = device;
        json!({
            "model": progress.model,
            "device": progress.device,
            "tokens": progress.tally.tokens,
            "sequences": progress.tally.sequences,
            "batches": progress.tally.batches,
            "packing_efficiency": progress.tally.packing_efficiency(progress.token_budget),
            "tokens_per_second": tokens_per_second,
            "busy": busy,
        })
    };
    let chunks = |of: fn(&ChunkFigures) -> Value| -> Value { figures.chunks.as_ref().map(of).into() };
    let fields = [
        ("seconds", figures.elapsed.as_secs_f64().into()),
        ("records", progress.records.into()),
        ("bytes", progress.bytes.into()),
        ("total_bytes", progress.total_bytes.into()),
        ("done", progress.done.into()),
        ("seconds_left", figures.left.map(|left| left.as_secs_f64()).into()),
        ("records_per_second", figures.records_per_second.into()),
        ("chunks", chunks(|figures| figures.progress.chunks.into())),
        ("bases", chunks(|figures| figures.progress.bases.into())),
        ("chunks_per_second", chunks(|figures| figures.chunks_per_second.into())),
        ("bases_per_second", chunks(|figures| figures.bases_per_second.into())),
        ("devices", figures.devices.iter().map(device).collect()),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
