//! Batches on their way: which device holds which, and what came back undone.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use virpack_seq::{AsyncDataLoader, LoaderItem, PackedBatch, SkippedRecord};

use super::LOOK_EVERY;
use crate::Error;
use crate::cancel::CancelToken;

/// One queue for all devices: each batch is on one of them at a time, until its results are handed on. What a lost
/// device held goes to the others.
#[derive(Debug)]
pub(super) struct Queue {
    loader: AsyncDataLoader,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether batches are begun no longer.
    cancel: CancelToken,
}

#[derive(Debug)]
struct State {
    devices: Vec<DeviceState>,
    held: HashMap<Ticket, (usize, Arc<PackedBatch>)>,
    returned: VecDeque<Arc<PackedBatch>>,
    last_ticket: u64,
    /// Devices that are taking a batch from the loader.
    taking: usize,
    /// Why the run ends before the input does.
    failure: Option<Error>,
    stopped: bool,
}

#[derive(Debug)]
struct DeviceState {
    running: bool,
    /// When it last took a batch with empty hands or gave one back.
    moved: Instant,
}

/// A batch's place on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

/// A batch and its ticket.
pub(super) type TicketedBatch = (Ticket, Arc<PackedBatch>);

/// What a device is to do next.
pub(super) enum Work {
    Batch(TicketedBatch),
    Skipped(Vec<SkippedRecord>),
    /// Nothing is there now, or comes any more but what other devices may give back: finish what is in flight first.
    Drain,
    End,
}

impl Queue {
    pub(super) fn new(loader: AsyncDataLoader, devices: usize, cancel: CancelToken) -> Queue {
        let device = || DeviceState { running: true, moved: Instant::now() };
        let state = State {
            devices: (0..devices).map(|_| device()).collect(),
            held: HashMap::new(),
            returned: VecDeque::new(),
            last_ticket: 0,
            taking: 0,
            failure: None,
            stopped: false,
        };
        Queue { loader, state: Mutex::new(state), changed: Condvar::new(), cancel }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Returns what `device` is to do next; `empty`: whether it has nothing in flight.
    pub(super) fn next(&self, device: usize, empty: bool) -> Work {
        {
            let mut state = self.state();
            if state.is_over(device) {
                return Work::End;
            }
            if self.cancel.is_cancelled() {
                return if empty { Work::End } else { Work::Drain };
            }
            if let Some(batch) = state.returned.pop_front() {
                return Work::Batch(state.hold(device, batch));
            }
            // From here to `hold` a batch is on no device: no worker may take the run for complete.
            state.taking += 1;
        }
        let polled = match self.loader.poll() {
            // Not for ever, because the run may be cancelled.
            Poll::Pending if empty => self.loader.receive_within(LOOK_EVERY),
            polled => polled,
        };
        let mut state = self.state();
        state.taking -= 1;
        self.changed.notify_all();
        match polled {
            // What is done must not wait for a batch that may wait for it; with nothing in flight, it is asked again.
            Poll::Pending => Work::Drain,
            Poll::Ready(Some(Ok(LoaderItem::Batch(batch)))) => {
                Work::Batch(state.hold(device, Arc::new(batch)))
            }
            Poll::Ready(Some(Ok(LoaderItem::Skipped(records)))) => Work::Skipped(records),
            Poll::Ready(Some(Err(error))) => {
                // The good batches before the error are still run.
                state.failure = Some(error.into());
                Work::Drain
            }
            Poll::Ready(None) if !empty => Work::Drain,
            Poll::Ready(None) => {
                drop(state);
                self.wait_for_others(device)
            }
        }
    }

    /// At the end of the input: what another device gives back, or the end.
    fn wait_for_others(&self, device: usize) -> Work {
        let mut state = self.state();
        loop {
            if state.is_over(device) || self.cancel.is_cancelled() {
                return Work::End;
            }
            if let Some(batch) = state.returned.pop_front() {
                return Work::Batch(state.hold(device, batch));
            }
            if state.held.is_empty() && state.taking == 0 {
                return Work::End;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Takes a batch off its device; false where it is no longer there, and its results must be dropped.
    pub(super) fn complete(&self, ticket: Ticket) -> bool {
        let mut state = self.state();
        let Some((device, _)) = state.held.remove(&ticket) else { return false };
        state.devices[device].moved = Instant::now();
        self.changed.notify_all();
        true
    }

    /// Returns the same batch in parts; none where it is no longer on its device.
    pub(super) fn split(&self, (ticket, batch): TicketedBatch, tokens: usize) -> VecDeque<TicketedBatch> {
        let mut state = self.state();
        let Some((device, _)) = state.held.remove(&ticket) else { return VecDeque::new() };
        let parts = Arc::unwrap_or_clone(batch).split(tokens);
        parts.into_iter().map(|part| state.hold(device, Arc::new(part))).collect()
    }

    /// Removes a device that works no longer: its batches go to the others. Gives how many devices are
    /// left; None where it had been given up already.
    pub(super) fn leave(&self, device: usize) -> Option<usize> {
        let mut state = self.state();
        if !std::mem::take(&mut state.devices[device].running) {
            return None;
        }
        let of_device = state.held.iter().filter(|(_, (d, _))| *d == device);
        let mut tickets: Vec<Ticket> = of_device.map(|(ticket, _)| *ticket).collect();
        tickets.sort_by_key(|ticket| ticket.0);
        for ticket in tickets {
            let batch = state.held.remove(&ticket).map(|(_, batch)| batch);
            state.returned.extend(batch);
        }
        self.changed.notify_all();
        Some(state.devices.iter().filter(|d| d.running).count())
    }

    /// Devices that still work, beside this one.
    pub(super) fn others(&self, device: usize) -> usize {
        let state = self.state();
        state.devices.iter().enumerate().filter(|(i, d)| *i != device && d.running).count()
    }

    /// What a device did until now was no hanging.
    pub(super) fn moved(&self, device: usize) {
        self.state().devices[device].moved = Instant::now();
    }

    /// The same for all devices.
    pub(super) fn all_moved(&self) {
        self.state().devices.iter_mut().for_each(|d| d.moved = Instant::now());
    }

    /// Ends the run: no device gets anything any more.
    pub(super) fn stop(&self, failure: Option<Error>) {
        let mut state = self.state();
        state.stopped = true;
        state.failure = state.failure.take().or(failure);
        self.changed.notify_all();
    }

    /// Why the run ended before the input did.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.state().failure.take()
    }

    /// Devices that have held a batch for longer than `timeout` without giving one back.
    pub(super) fn hung(&self, timeout: Duration) -> Vec<usize> {
        let state = self.state();
        let holds = |device: usize| state.held.values().any(|(d, _)| *d == device);
        let late = |(i, d): &(usize, &DeviceState)| d.running && holds(*i) && d.moved.elapsed() > timeout;
        state.devices.iter().enumerate().filter(late).map(|(i, _)| i).collect()
    }
}

impl State {
    /// Returns whether `device` gets nothing more.
    fn is_over(&self, device: usize) -> bool {
        self.stopped || !self.devices[device].running
    }

    fn hold(&mut self, device: usize, batch: Arc<PackedBatch>) -> TicketedBatch {
        if !self.held.values().any(|(d, _)| *d == device) {
            self.devices[device].moved = Instant::now();
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.held.insert(ticket, (device, Arc::clone(&batch)));
        (ticket, batch)
    }
}
