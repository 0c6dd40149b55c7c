//! When a run reports how far it is.

use std::time::{Duration, Instant};

use crate::event::Event;
use crate::progress::Progress;
use crate::runner::{DeviceEvent, LOOK_EVERY};

/// How often a run reports how far it is: a bar moves, and nothing is measured by it.
const REPORT_EVERY: Duration = LOOK_EVERY;

/// Reports progress now and then, and what has happened to devices at once.
pub(super) struct Reporter {
    /// What has happened to devices, to be reported.
    events: Vec<DeviceEvent>,
    /// When the progress was reported last.
    since: Instant,
    /// The largest share of the work that was reported: it never shrinks.
    done: f64,
}

impl Reporter {
    pub(super) fn new() -> Self {
        Reporter { events: Vec::new(), since: Instant::now(), done: 0.0 }
    }

    /// Takes what has happened to a device.
    pub(super) fn note(&mut self, event: DeviceEvent) {
        self.events.push(event);
    }

    /// Whether it is time to report.
    pub(super) fn is_due(&self) -> bool {
        !self.events.is_empty() || self.since.elapsed() >= REPORT_EVERY
    }

    /// Reports what has happened to devices, and how far the run is.
    pub(super) fn report(&mut self, mut progress: Progress, on_event: &mut impl FnMut(Event)) {
        self.since = Instant::now();
        self.events.drain(..).map(Event::Device).for_each(&mut *on_event);
        // What comes is estimated, and may turn out to be more.
        self.done = self.done.max(progress.done.unwrap_or(0.0));
        progress.done = progress.done.map(|_| self.done);
        on_event(Event::Progress(progress));
    }
}
