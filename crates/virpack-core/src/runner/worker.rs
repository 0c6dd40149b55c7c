//! One device's thread.

use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::Sender;
use virpack_device::{Backend, DeviceError};
use virpack_seq::{PackedBatch, SequenceIndex, SkippedRecord};

use super::queue::{Queue, TicketedBatch, Work};
use super::tally::Tally;
use super::{DeviceEvent, IN_FLIGHT, RunnerItem, RunnerOptions};
use crate::Error;
use crate::embeddings::Embeddings;
use crate::row::Row;
use crate::windows::WindowJoiner;
use virpack_model::Encoder;

/// Where results go; None at the end.
pub(super) type Results = Sender<Option<Result<RunnerItem, Error>>>;

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
    /// The receiver of the results was dropped.
    ResultsDropped,
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
    pub(super) in_flight: VecDeque<SubmittedBatch<B>>,
    /// Most tokens that the device had room for; no limit before it ran out.
    pub(super) most_tokens: usize,
}

/// A batch on the device.
pub(super) struct SubmittedBatch<B: Backend> {
    held: TicketedBatch,
    rows: BatchResults<B::Pending>,
}

/// What a batch gives back: on its way, and here.
enum BatchResults<T> {
    /// One a sequence.
    Pooled(T),
    /// That, and all hidden states, to join the windows of long records.
    Windows(T, T),
    /// All hidden states.
    Residues(T),
}

impl<B: Backend, M: Encoder<B> + ?Sized> Worker<'_, B, M> {
    /// Works until nothing is left to do, or the caller takes no more results.
    pub(super) fn run(&mut self) -> Result<(), Stop> {
        loop {
            match self.shared.queue.next(self.device, self.in_flight.is_empty()) {
                Work::Batch(held) => self.run_batch(held)?,
                Work::Skipped(records) => self.hand_on(self.skipped(records))?,
                Work::Drain => self.drain()?,
                Work::End => return Ok(()),
            }
        }
    }

    /// Gives a batch to the device, in parts if it has no room for the complete batch, and hands on what is
    /// done.
    fn run_batch(&mut self, held: TicketedBatch) -> Result<(), Stop> {
        let mut parts = VecDeque::from([held]);
        while let Some(part) = parts.pop_front() {
            if part.1.total_tokens() > self.most_tokens && part.1.len() > 1 {
                let mut smaller = self.shared.queue.split(part, self.most_tokens);
                smaller.append(&mut parts);
                parts = smaller;
                continue;
            }
            self.tally.begin(&part.1);
            match self.timed(|worker| worker.submit(&part.1)) {
                Ok(rows) => {
                    if self.backend.busy().is_none() {
                        // A device without a clock of its own computes while it is given the batch.
                        self.tally.compute(&part.1);
                    }
                    self.in_flight.push_back(SubmittedBatch { held: part, rows });
                }
                Err(error @ DeviceError::OutOfMemory { .. }) if part.1.len() > 1 => {
                    self.tally.withdraw(&part.1);
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

    /// Halves `batch`, for which the device has no room: from here on it gets half of its tokens at most.
    fn halve(&mut self, batch: &PackedBatch, error: &DeviceError) -> Result<(), Stop> {
        self.drain()?;
        self.most_tokens = (batch.total_tokens() / 2).max(batch.max_seqlen);
        self.backend.shrink(self.most_tokens)?;
        let (reason, hint) = (error.to_string(), error.hint().map(Cow::into_owned));
        let token_budget = self.most_tokens;
        self.hand_on(RunnerItem::Device(DeviceEvent::Halved { token_budget, reason, hint }))
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
            Some(rows) => self.hand_on(RunnerItem::Embeddings(rows)),
            None => Ok(()),
        }
    }

    fn hand_on(&self, item: RunnerItem) -> Result<(), Stop> {
        self.send.send(Some(Ok(item))).map_err(|_| Stop::ResultsDropped)?;
        // The wait for the caller was not the device's time.
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

    /// Submits a batch, and returns its rows, which are not computed yet.
    fn submit(&mut self, batch: &PackedBatch) -> Result<BatchResults<B::Pending>, DeviceError> {
        let packed = self.backend.packed(&batch.input_ids, &batch.cu_seqlens, batch.max_seqlen)?;
        let hidden = self.model.forward(self.backend, &packed, self.shared.options.layer)?;
        let Some(pool) = self.shared.options.pool else {
            return Ok(BatchResults::Residues(self.backend.read(&hidden)?));
        };
        let windows = batch.index.iter().any(is_window);
        let rows = windows.then(|| self.backend.read(&hidden)).transpose()?;
        let pooled = self.backend.pool(&hidden, &packed, pool, self.model.span())?;
        Ok(match rows {
            Some(rows) => BatchResults::Windows(pooled, rows),
            None => BatchResults::Pooled(pooled),
        })
    }

    /// Waits for a batch's results; None where the device was given up meanwhile and the batch is another's.
    fn finish(&mut self, submitted: SubmittedBatch<B>) -> Result<Option<Embeddings>, Stop> {
        let SubmittedBatch { held: (ticket, batch), rows } = submitted;
        let wait = |pending| self.backend.wait(pending).map_err(|error| name_records(error, &batch));
        let rows = match rows {
            BatchResults::Pooled(pooled) => BatchResults::Pooled(wait(pooled)?),
            BatchResults::Windows(pooled, rows) => {
                BatchResults::Windows(wait(pooled)?, self.backend.wait(rows)?)
            }
            BatchResults::Residues(rows) => BatchResults::Residues(self.backend.wait(rows)?),
        };
        if !self.shared.queue.complete(ticket) {
            return Ok(None);
        }
        if self.backend.busy().is_some() {
            self.tally.compute(&batch);
        }
        let finished = match rows {
            BatchResults::Pooled(values) => {
                self.embeddings(batch.index.iter().map(Row::from).collect(), values, None)
            }
            BatchResults::Windows(pooled, rows) => self.join(&batch, &pooled, &rows),
            BatchResults::Residues(values) => self.residues(&batch, values),
        };
        refuse_broken(&finished).map_err(Stop::Run)?;
        self.tally.add(&batch);
        Ok(Some(finished))
    }

    /// Returns the sequences of a batch as they are pooled, but for windows, of which all `rows` are
    /// joined.
    fn join(&self, batch: &PackedBatch, pooled: &[f32], rows: &[f32]) -> Embeddings {
        let hidden = self.model.hidden_size();
        let width = pooled.len() / batch.len().max(1);
        let (mut finished, mut values) = (Vec::with_capacity(batch.len()), Vec::new());
        let mut joiner = self.shared.joiner.lock();
        for (i, index) in batch.index.iter().enumerate() {
            if !is_window(index) {
                finished.push(index.into());
                values.extend_from_slice(&pooled[i * width..(i + 1) * width]);
                continue;
            }
            // A record that an earlier run has finished: not all of its windows may come.
            if !index.needed {
                continue;
            }
            let last = batch.cu_seqlens[i + 1] as usize - self.model.span().skip_last;
            let own = &rows[batch.cu_seqlens[i] as usize * hidden..last * hidden];
            if let Some((row, embedding)) = joiner.add(index, own) {
                finished.push(row);
                values.extend(embedding);
            }
        }
        self.embeddings(finished, values, None)
    }

    /// Of a batch's rows those that pooling would take, moved together in their place.
    fn residues(&self, batch: &PackedBatch, mut values: Vec<f32>) -> Embeddings {
        let (hidden, span) = (self.model.hidden_size(), self.model.span());
        let mut residues = Vec::with_capacity(batch.len());
        let mut end = 0;
        for sequence in batch.cu_seqlens.windows(2) {
            let first = sequence[0] as usize + span.skip_first;
            let last = sequence[1] as usize - span.skip_last;
            values.copy_within(first * hidden..last * hidden, end);
            end += (last - first) * hidden;
            residues.push(last - first);
        }
        values.truncate(end);
        self.embeddings(batch.index.iter().map(Row::from).collect(), values, Some(residues))
    }

    /// Returns the embeddings of finished records.
    fn embeddings(&self, rows: Vec<Row>, values: Vec<f32>, residues: Option<Vec<usize>>) -> Embeddings {
        let hidden = self.model.hidden_size();
        let hidden = self.shared.options.pool.map_or(hidden, |pool| pool.width(hidden));
        Embeddings { hidden, rows, values, residues, skipped: Vec::new() }
    }

    /// Returns records that got no tokens.
    fn skipped(&self, skipped: Vec<SkippedRecord>) -> RunnerItem {
        let is_residues = self.shared.options.pool.is_none();
        let none = self.embeddings(Vec::new(), Vec::new(), is_residues.then(Vec::new));
        RunnerItem::Embeddings(Embeddings { skipped, ..none })
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

/// Refuses an embedding with NaN or infinity, which is never handed on.
fn refuse_broken(finished: &Embeddings) -> Result<(), Error> {
    let broken = |(row, values): (&Row, &[f32])| {
        (!values.iter().all(|value| value.is_finite())).then(|| row.id.to_string())
    };
    let ids: Vec<String> = finished.iter().filter_map(broken).collect();
    if ids.is_empty() { Ok(()) } else { Err(Error::NotFinite { ids }) }
}
