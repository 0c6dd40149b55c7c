//! Batches through a model on a device, ahead of whoever takes the results.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use virpack_device::{Backend, Pool};
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
                let worker = Worker { backend: &*backend, model: &*model, options, joiner, clock: &clock };
                // A panic in a model must not look like the end of the input.
                let end = catch_unwind(AssertUnwindSafe(|| worker.run(&loader, &send)));
                let error = match end {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error,
                    Err(_) => Error::Panicked { thread: "runner" },
                };
                // A consumer that is gone wants no error either.
                let _ = send.send(Err(error));
            })
            .map_err(|source| Error::Thread { thread: "runner", source })?;
        Ok(AsyncInferenceRunner { results: Some(results), worker: Some(worker), busy })
    }

    /// Time the device had work: between handing it a batch and having its results.
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
    fn run(mut self, loader: &AsyncDataLoader, send: &Sender<Result<Finished, Error>>) -> Result<(), Error> {
        let mut in_flight = VecDeque::new();
        while let Some(loaded) = loader.receive() {
            let finished = match loaded {
                Ok(Loaded::Batch(batch)) => {
                    in_flight.push_back(self.timed(|worker| worker.submit(batch))?);
                    if in_flight.len() < IN_FLIGHT {
                        continue;
                    }
                    self.finish_oldest(&mut in_flight)?
                }
                Ok(Loaded::Skipped(records)) => Some(Finished::Skipped(records)),
                Err(error) => {
                    // The good batches before the error are still handed on.
                    self.drain(&mut in_flight, send)?;
                    return Err(error.into());
                }
            };
            if let Some(finished) = finished
                && send.send(Ok(finished)).is_err()
            {
                return Ok(());
            }
        }
        self.drain(&mut in_flight, send)?;
        match self.joiner.waiting() {
            0 => Ok(()),
            records => Err(Error::WindowsMissing { records }),
        }
    }

    fn drain(
        &mut self,
        in_flight: &mut VecDeque<Submitted<B>>,
        send: &Sender<Result<Finished, Error>>,
    ) -> Result<(), Error> {
        while let Some(finished) = self.finish_oldest(in_flight)? {
            if send.send(Ok(finished)).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn finish_oldest(&mut self, in_flight: &mut VecDeque<Submitted<B>>) -> Result<Option<Finished>, Error> {
        let Some(submitted) = in_flight.pop_front() else { return Ok(None) };
        self.timed(|worker| worker.finish(submitted)).map(Some)
    }

    fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let start = Instant::now();
        let result = work(self);
        self.clock.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        result
    }

    fn submit(&mut self, batch: PackedBatch) -> Result<Submitted<B>, Error> {
        let packed = self.backend.packed(&batch.input_ids, &batch.cu_seqlens, batch.max_seqlen)?;
        let hidden = self.model.forward(self.backend, &packed, self.options.layer)?;
        let windows = batch.index.iter().any(is_window);
        let rows = windows.then(|| self.backend.read(&hidden)).transpose()?;
        let pooled = self.backend.pool(&hidden, &packed, self.options.pool, self.model.span())?;
        Ok(Submitted { batch, pooled, rows })
    }

    fn finish(&mut self, submitted: Submitted<B>) -> Result<Finished, Error> {
        let Submitted { batch, pooled, rows } = submitted;
        let hidden = self.model.hidden_size();
        let mut values = self.backend.wait(pooled)?;
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

/// An embedding with NaN or infinity is never handed on.
fn refuse_broken(rows: &[Row], values: &[f32], hidden: usize) -> Result<(), Error> {
    let broken =
        rows.iter().zip(values.chunks_exact(hidden)).filter(|(_, v)| !v.iter().all(|v| v.is_finite()));
    let ids: Vec<String> = broken.map(|(row, _)| row.id.to_string()).collect();
    if ids.is_empty() { Ok(()) } else { Err(Error::NotFinite { ids }) }
}
