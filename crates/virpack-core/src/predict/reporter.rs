//! Decides when a run reports its progress.

use std::time::{Duration, Instant};

use crate::event::Event;
use crate::progress::Progress;
use crate::runner::{DeviceEvent, LOOK_EVERY};

/// The interval of progress reports. It only moves a bar; no measurement depends on it.
const REPORT_EVERY: Duration = LOOK_EVERY;

/// Reports progress at intervals, and events of devices at once.
pub(super) struct Reporter {
    /// Events of devices that are not reported yet.
    events: Vec<DeviceEvent>,
    /// The time of the last report.
    since: Instant,
    /// The largest share of the work reported so far: the reported share never shrinks.
    done: f64,
}

impl Reporter {
    pub(super) fn new() -> Self {
        Reporter { events: Vec::new(), since: Instant::now(), done: 0.0 }
    }

    /// Adds an event of a device.
    pub(super) fn note(&mut self, event: DeviceEvent) {
        self.events.push(event);
    }

    /// Returns whether a report is due.
    pub(super) fn is_due(&self) -> bool {
        !self.events.is_empty() || self.since.elapsed() >= REPORT_EVERY
    }

    /// Reports the events of devices, and progress.
    pub(super) fn report(&mut self, mut progress: Progress, on_event: &mut impl FnMut(Event)) {
        self.since = Instant::now();
        self.events.drain(..).map(Event::Device).for_each(&mut *on_event);
        // The remaining work is an estimate, and may grow.
        self.done = self.done.max(progress.done.unwrap_or(0.0));
        progress.done = progress.done.map(|_| self.done);
        on_event(Event::Progress(progress));
    }
}
