//! Batches through a model on a device, ahead of whoever takes the results.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use virpack_device::{Backend, DeviceError, Pool};
use virpack_seq::{AsyncDataLoader, Loaded, PackedBatch, SequenceIndex, SkippedRecord};

use crate::Error;
use crate::model::Encoder;
use crate::output::Row;
use crate::windows::WindowJoiner;

/// What of a sequence comes back.
#[derive(Clone, Copy, Debug)]
pub struct RunnerOptions {
    /// How a sequence's rows become one.
    pub pool: Pool,
    /// After which layer, from 0 (the embeddings) to the model's number of layers.
    pub layer: usize,
    /// Residues that neighbouring windows of a long record share.
    pub window_overlap: usize,
}

/// What a runner yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Finished {
    /// Records with their embeddings, `[rows.len(), hidden]`, in the order the batches were made.
    Embeddings {
        /// Whose they are.
        rows: Vec<Row>,
        /// The values, row by row.
        values: Vec<f32>,
    },
    /// Records that got no tokens.
    Skipped(Vec<SkippedRecord>),
    /// The device ran out of memory: from here on batches have at most this many tokens. The batch that had no
    /// room was run again in parts.
    Halved {
        /// The most tokens in a batch from here on.
        token_budget: usize,
        /// What the device said.
        reason: String,
    },
}

/// Batches through a model on a device, ahead of whoever takes the results.
///
/// One thread takes batches from the loader, keeps `IN_FLIGHT` of them on the device and hands the results
/// on in the same order. Every record of the loader comes out exactly once; a record of several windows when
/// its last window is done. After an error nothing more comes.
#[derive(Debug)]
pub struct AsyncInferenceRunner {
    results: Option<Receiver<Result<Finished, Error>>>,
    worker: Option<JoinHandle<()>>,
    busy: Arc<AtomicU64>,
}

/// Where results go.
type Results = Sender<Result<Finished, Error>>;

/// Why a worker ends before the loader does.
enum Stop {
    Failed(Error),
    /// Whoever took the results is gone.
    NobodyListens,
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// Batches submitted to the device before the first one's results are waited for.
const IN_FLIGHT: usize = 2;

impl AsyncInferenceRunner {
    /// Starts running what `loader` gives.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread.
    pub fn new<B, M>(
        backend: Arc<B>,
        model: Arc<M>,
        loader: AsyncDataLoader,
        options: RunnerOptions,
    ) -> Result<Self, Error>
    where
        B: Backend + 'static,
        M: Encoder<B> + 'static,
    {
        let (send, results) = bounded(IN_FLIGHT);
        let busy = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&busy);
        let worker = std::thread::Builder::new()
            .name("runner".to_owned())
            .spawn(move || {
                let joiner = WindowJoiner::new(options.pool, model.hidden_size(), options.window_overlap);
                let (backend, model) = (&*backend, &*model);
                let most_tokens = usize::MAX;
                let worker = Worker { backend, model, options, joiner, most_tokens, clock: &clock };
                // A panic in a model must not look like the end of the input.
                let end = catch_unwind(AssertUnwindSafe(|| worker.run(&loader, &send)));
                let error = match end {
                    Ok(Ok(()) | Err(Stop::NobodyListens)) => return,
                    Ok(Err(Stop::Failed(error))) => error,
                    Err(_) => Error::Panicked { thread: "runner" },
                };
                // A consumer that is gone wants no error either.
                let _ = send.send(Err(error));
            })
            .map_err(|source| Error::Thread { thread: "runner", source })?;
        Ok(AsyncInferenceRunner { results: Some(results), worker: Some(worker), busy })
    }

    /// Time the device computed, where it keeps a clock; else the time spent handing it batches and waiting for them.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }
}

impl Iterator for AsyncInferenceRunner {
    type Item = Result<Finished, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.results.as_ref()?.recv().ok()
    }
}

impl Drop for AsyncInferenceRunner {
    fn drop(&mut self) {
        // The worker stops at its next send.
        self.results = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// The thread's side.
struct Worker<'a, B: Backend, M> {
    backend: &'a B,
    model: &'a M,
    options: RunnerOptions,
    joiner: WindowJoiner,
    /// Most tokens that the device had room for; no limit before it ran out.
    most_tokens: usize,
    clock: &'a AtomicU64,
}

/// A batch on the device.
struct Submitted<B: Backend> {
    batch: PackedBatch,
    pooled: B::Pending,
    /// All hidden states, where the batch holds windows of long records.
    rows: Option<B::Pending>,
}

impl<B: Backend, M: Encoder<B>> Worker<'_, B, M> {
    /// Until the loader ends or nobody takes results any more.
    fn run(mut self, loader: &AsyncDataLoader, send: &Results) -> Result<(), Stop> {
        let mut in_flight = VecDeque::new();
        while let Some(loaded) = loader.receive() {
            match loaded {
                Ok(Loaded::Batch(batch)) => self.run_batch(batch, &mut in_flight, send)?,
                Ok(Loaded::Skipped(records)) => hand_on(send, Finished::Skipped(records))?,
                Err(error) => {
                    // The good batches before the error are still handed on.
                    self.drain(&mut in_flight, send)?;
                    return Err(Stop::Failed(error.into()));
                }
            }
        }
        self.drain(&mut in_flight, send)?;
        match self.joiner.waiting() {
            0 => Ok(()),
            records => Err(Stop::Failed(Error::WindowsMissing { records })),
        }
    }

    /// Gives a batch to the device, in parts where it has no room for the whole, and hands on what is done.
    fn run_batch(
        &mut self,
        batch: PackedBatch,
        in_flight: &mut VecDeque<Submitted<B>>,
        send: &Results,
    ) -> Result<(), Stop> {
        let mut parts = VecDeque::from(batch.split(self.most_tokens));
        while let Some(part) = parts.pop_front() {
            match self.timed(|worker| worker.submit(&part)) {
                Ok((pooled, rows)) => in_flight.push_back(Submitted { batch: part, pooled, rows }),
                Err(error @ DeviceError::OutOfMemory { .. }) if part.len() > 1 => {
                    self.drain(in_flight, send)?;
                    self.most_tokens = (part.total_tokens() / 2).max(part.max_seqlen);
                    self.backend.shrink(self.most_tokens)?;
                    let (token_budget, reason) = (self.most_tokens, error.to_string());
                    hand_on(send, Finished::Halved { token_budget, reason })?;
                    parts.push_front(part);
                    parts = parts.into_iter().flat_map(|part| part.split(self.most_tokens)).collect();
                }
                Err(error) => return Err(error.into()),
            }
            while in_flight.len() >= IN_FLIGHT {
                self.finish_oldest(in_flight, send)?;
            }
        }
        Ok(())
    }

    fn drain(&mut self, in_flight: &mut VecDeque<Submitted<B>>, send: &Results) -> Result<(), Stop> {
        while !in_flight.is_empty() {
            self.finish_oldest(in_flight, send)?;
        }
        Ok(())
    }

    fn finish_oldest(&mut self, in_flight: &mut VecDeque<Submitted<B>>, send: &Results) -> Result<(), Stop> {
        let Some(submitted) = in_flight.pop_front() else { return Ok(()) };
        let finished = self.timed(|worker| worker.finish(submitted))?;
        hand_on(send, finished)
    }

    fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let start = Instant::now();
        let result = work(self);
        let spent = start.elapsed().as_nanos() as u64;
        match self.backend.busy() {
            Some(busy) => self.clock.store(busy.as_nanos() as u64, Ordering::Relaxed),
            None => _ = self.clock.fetch_add(spent, Ordering::Relaxed),
        }
        result
    }

    /// The pooled rows on their way, and all rows where the batch holds windows of long records.
    fn submit(&mut self, batch: &PackedBatch) -> Result<(B::Pending, Option<B::Pending>), DeviceError> {
        let packed = self.backend.packed(&batch.input_ids, &batch.cu_seqlens, batch.max_seqlen)?;
        let hidden = self.model.forward(self.backend, &packed, self.options.layer)?;
        let windows = batch.index.iter().any(is_window);
        let rows = windows.then(|| self.backend.read(&hidden)).transpose()?;
        let pooled = self.backend.pool(&hidden, &packed, self.options.pool, self.model.span())?;
        Ok((pooled, rows))
    }

    fn finish(&mut self, submitted: Submitted<B>) -> Result<Finished, Error> {
        let Submitted { batch, pooled, rows } = submitted;
        let hidden = self.model.hidden_size();
        let mut values = self.backend.wait(pooled).map_err(|error| name_records(error, &batch))?;
        let mut finished_rows: Vec<Row> = Vec::with_capacity(batch.len());
        if let Some(rows) = rows {
            let rows = self.backend.wait(rows)?;
            let pooled = std::mem::take(&mut values);
            for (i, index) in batch.index.iter().enumerate() {
                if !is_window(index) {
                    finished_rows.push(index.into());
                    values.extend_from_slice(&pooled[i * hidden..(i + 1) * hidden]);
                    continue;
                }
                let last = batch.cu_seqlens[i + 1] as usize - self.model.span().skip_last;
                let own = &rows[batch.cu_seqlens[i] as usize * hidden..last * hidden];
                if let Some((row, embedding)) = self.joiner.add(index, own) {
                    finished_rows.push(row);
                    values.extend(embedding);
                }
            }
        } else {
            finished_rows.extend(batch.index.iter().map(Row::from));
        }
        refuse_broken(&finished_rows, &values, hidden)?;
        Ok(Finished::Embeddings { rows: finished_rows, values })
    }
}

fn is_window(index: &SequenceIndex) -> bool {
    index.window.count > 1
}

/// Rows of a batch by their records' ids.
fn name_records(error: DeviceError, batch: &PackedBatch) -> Error {
    match error {
        DeviceError::NotFinite { broken, .. } => {
            Error::NotFinite { ids: broken.iter().map(|&row| batch.index[row].id.to_string()).collect() }
        }
        other => other.into(),
    }
}

fn hand_on(send: &Results, finished: Finished) -> Result<(), Stop> {
    send.send(Ok(finished)).map_err(|_| Stop::NobodyListens)
}

/// An embedding with NaN or infinity is never handed on.
fn refuse_broken(rows: &[Row], values: &[f32], hidden: usize) -> Result<(), Error> {
    let broken =
        rows.iter().zip(values.chunks_exact(hidden)).filter(|(_, v)| !v.iter().all(|v| v.is_finite()));
    let ids: Vec<String> = broken.map(|(row, _)| row.id.to_string()).collect();
    if ids.is_empty() { Ok(()) } else { Err(Error::NotFinite { ids }) }
}
