//! One device's thread.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;
use virpack_device::{Backend, DeviceError};
use virpack_seq::{PackedBatch, SequenceIndex};

use super::queue::{Held, Queue, Work};
use super::{Finished, IN_FLIGHT, RunnerOptions, Tally};
use crate::Error;
use crate::model::Encoder;
use crate::output::Row;
use crate::windows::WindowJoiner;

/// Where results go; None at the end.
pub(super) type Results = Sender<Option<Result<Finished, Error>>>;

/// What all devices of a run share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    /// Windows of one record may be on several devices.
    pub(super) joiner: Mutex<WindowJoiner>,
    pub(super) options: RunnerOptions,
}

/// Why a device ends before the queue does.
pub(super) enum Stop {
    /// The device is lost; another may do its work.
    Device(Error),
    /// No device could do better.
    Run(Error),
    /// Whoever took the results is gone.
    NobodyListens,
}

impl From<DeviceError> for Stop {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Shape { .. } | DeviceError::TokenId { .. } | DeviceError::NotFinite { .. } => {
                Stop::Run(error.into())
            }
            _ => Stop::Device(error.into()),
        }
    }
}

/// One device's thread.
pub(super) struct Worker<'a, B: Backend, M: ?Sized> {
    pub(super) device: usize,
    pub(super) backend: &'a B,
    pub(super) model: &'a M,
    pub(super) shared: &'a Shared,
    pub(super) send: &'a Results,
    pub(super) tally: &'a Tally,
    pub(super) in_flight: VecDeque<Submitted<B>>,
    /// Most tokens that the device had room for; no limit before it ran out.
    pub(super) most_tokens: usize,
}

/// A batch on the device.
pub(super) struct Submitted<B: Backend> {
    held: Held,
    pooled: B::Pending,
    /// All hidden states, where the batch holds windows of long records.
    rows: Option<B::Pending>,
}

impl<B: Backend, M: Encoder<B> + ?Sized> Worker<'_, B, M> {
    /// Until nothing is left to do, or nobody takes results any more.
    pub(super) fn run(&mut self) -> Result<(), Stop> {
        loop {
            match self.shared.queue.next(self.device, self.in_flight.is_empty()) {
                Work::Batch(held) => self.run_batch(held)?,
                Work::Skipped(records) => self.hand_on(Finished::Skipped(records))?,
                Work::Drain => self.drain()?,
                Work::End => return Ok(()),
            }
        }
    }

    /// Gives a batch to the device, in parts where it has no room for the whole, and hands on what is done.
    fn run_batch(&mut self, held: Held) -> Result<(), Stop> {
        let mut parts = VecDeque::from([held]);
        while let Some(part) = parts.pop_front() {
            if part.1.total_tokens() > self.most_tokens && part.1.len() > 1 {
                let mut smaller = self.shared.queue.split(part, self.most_tokens);
                smaller.append(&mut parts);
                parts = smaller;
                continue;
            }
            match self.timed(|worker| worker.submit(&part.1)) {
                Ok((pooled, rows)) => self.in_flight.push_back(Submitted { held: part, pooled, rows }),
                Err(error @ DeviceError::OutOfMemory { .. }) if part.1.len() > 1 => {
                    self.halve(&part.1, &error)?;
                    parts.push_front(part);
                }
                Err(error) => return Err(error.into()),
            }
            while self.in_flight.len() >= IN_FLIGHT {
                self.finish_oldest()?;
            }
        }
        Ok(())
    }

    /// The device has no room for `batch`: from here on it gets half of its tokens at most.
    fn halve(&mut self, batch: &PackedBatch, error: &DeviceError) -> Result<(), Stop> {
        self.drain()?;
        self.most_tokens = (batch.total_tokens() / 2).max(batch.max_seqlen);
        self.backend.shrink(self.most_tokens)?;
        self.hand_on(Finished::Halved { token_budget: self.most_tokens, reason: error.to_string() })
    }

    fn drain(&mut self) -> Result<(), Stop> {
        while !self.in_flight.is_empty() {
            self.finish_oldest()?;
        }
        Ok(())
    }

    fn finish_oldest(&mut self) -> Result<(), Stop> {
        let Some(submitted) = self.in_flight.pop_front() else { return Ok(()) };
        match self.timed(|worker| worker.finish(submitted))? {
            Some(finished) => self.hand_on(finished),
            None => Ok(()),
        }
    }

    fn hand_on(&self, finished: Finished) -> Result<(), Stop> {
        self.send.send(Some(Ok(finished))).map_err(|_| Stop::NobodyListens)?;
        // The wait for whoever takes results was not the device's.
        self.shared.queue.moved(self.device);
        Ok(())
    }

    fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let start = Instant::now();
        let result = work(self);
        let spent = start.elapsed().as_nanos() as u64;
        match self.backend.busy() {
            Some(busy) => self.tally.busy.store(busy.as_nanos() as u64, Ordering::Relaxed),
            None => _ = self.tally.busy.fetch_add(spent, Ordering::Relaxed),
        }
        result
    }

    /// The pooled rows on their way, and all rows where the batch holds windows of long records.
    fn submit(&mut self, batch: &PackedBatch) -> Result<(B::Pending, Option<B::Pending>), DeviceError> {
        let packed = self.backend.packed(&batch.input_ids, &batch.cu_seqlens, batch.max_seqlen)?;
        let hidden = self.model.forward(self.backend, &packed, self.shared.options.layer)?;
        let windows = batch.index.iter().any(is_window);
        let rows = windows.then(|| self.backend.read(&hidden)).transpose()?;
        let pooled = self.backend.pool(&hidden, &packed, self.shared.options.pool, self.model.span())?;
        Ok((pooled, rows))
    }

    /// Waits for a batch's results; None where the device was given up meanwhile and the batch is another's.
    fn finish(&mut self, submitted: Submitted<B>) -> Result<Option<Finished>, Stop> {
        let Submitted { held: (ticket, batch), pooled, rows } = submitted;
        let hidden = self.model.hidden_size();
        let mut values = self.backend.wait(pooled).map_err(|error| name_records(error, &batch))?;
        let rows = rows.map(|rows| self.backend.wait(rows)).transpose()?;
        if !self.shared.queue.complete(ticket) {
            return Ok(None);
        }
        let mut finished_rows: Vec<Row> = Vec::with_capacity(batch.len());
        if let Some(rows) = rows {
            let pooled = std::mem::take(&mut values);
            let mut joiner = self.shared.joiner.lock().unwrap_or_else(PoisonError::into_inner);
            for (i, index) in batch.index.iter().enumerate() {
                if !is_window(index) {
                    finished_rows.push(index.into());
                    values.extend_from_slice(&pooled[i * hidden..(i + 1) * hidden]);
                    continue;
                }
                let last = batch.cu_seqlens[i + 1] as usize - self.model.span().skip_last;
                let own = &rows[batch.cu_seqlens[i] as usize * hidden..last * hidden];
                if let Some((row, embedding)) = joiner.add(index, own) {
                    finished_rows.push(row);
                    values.extend(embedding);
                }
            }
        } else {
            finished_rows.extend(batch.index.iter().map(Row::from));
        }
        refuse_broken(&finished_rows, &values, hidden).map_err(Stop::Run)?;
        self.tally.add(&batch);
        Ok(Some(Finished::Embeddings { rows: finished_rows, values }))
    }
}

fn is_window(index: &SequenceIndex) -> bool {
    index.window.count > 1
}

/// Rows of a batch by their records' ids.
fn name_records(error: DeviceError, batch: &Arc<PackedBatch>) -> Stop {
    match error {
        DeviceError::NotFinite { broken, .. } => {
            let ids = broken.iter().map(|&row| batch.index[row].id.to_string()).collect();
            Stop::Run(Error::NotFinite { ids })
        }
        other => other.into(),
    }
}

/// An embedding with NaN or infinity is never handed on.
fn refuse_broken(rows: &[Row], values: &[f32], hidden: usize) -> Result<(), Error> {
    let broken =
        rows.iter().zip(values.chunks_exact(hidden)).filter(|(_, v)| !v.iter().all(|v| v.is_finite()));
    let ids: Vec<String> = broken.map(|(row, _)| row.id.to_string()).collect();
    if ids.is_empty() { Ok(()) } else { Err(Error::NotFinite { ids }) }
}
