//! Runs batches through a model on one or more devices, ahead of the caller that takes the results.

mod queue;
mod tally;
mod worker;

use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use virpack_device::{Backend, Pool, Work};
use virpack_seq::{AsyncDataLoader, Hint, ThreadError};

use crate::Error;
use crate::cancel::CancelToken;
use crate::embeddings::Embeddings;
use crate::options::setters;
use crate::windows::WindowJoiner;
use queue::Queue;
pub use tally::DeviceTally;
use tally::Tally;
use virpack_model::Encoder;
use worker::{Results, Shared, Stop, Worker};

/// What the runner returns for each sequence.
///
/// ```
/// use virpack_core::RunnerOptions;
/// use virpack_core::device::Pool;
///
/// // ESM-2 650M, whose long records are read in windows that share 100 residues.
/// let options = RunnerOptions::new(33).pool(Pool::Cls).window_overlap(100);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunnerOptions {
    pool: Option<Pool>,
    layer: usize,
    window_overlap: usize,
    device_timeout: Option<Duration>,
    cancel: CancelToken,
}

impl RunnerOptions {
    /// Means of the hidden states after `layer` layers, from 0 (the embeddings) to the model's number of
    /// layers, of records that fit without windows.
    pub fn new(layer: usize) -> Self {
        let cancel = CancelToken::new();
        RunnerOptions { pool: Some(Pool::Mean), layer, window_overlap: 0, device_timeout: None, cancel }
    }

    setters! {
        /// Sets how a sequence's rows become one; None: they all come back.
        pool: impl Into<Option<Pool>>,
        /// Sets the tokens that neighbouring windows of a long record share: residues, or 0 where tokens
        /// merge letters, so that no token of one window is one of another.
        window_overlap: usize,
        /// Sets how long a device may hold a batch without giving one back before it is given up; None: for
        /// ever.
        device_timeout: impl Into<Option<Duration>>,
        /// Sets what ends the results: once it is cancelled, the batches in flight are finished and no other
        /// is begun.
        cancel: CancelToken,
    }
}

/// What a runner yields.
#[derive(Clone, Debug, PartialEq)]
pub enum RunnerItem {
    /// Records of a batch that are finished, or records that got no tokens.
    Embeddings(Embeddings),
    /// What has become of a device.
    Device(DeviceEvent),
}

/// What has become of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// The device ran out of memory, and its batches are smaller from here on. The batch that had no room is run in parts.
    Halved {
        /// The most tokens in a batch from here on.
        token_budget: usize,
        /// The device's error.
        reason: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
    /// The device failed or hung, and gets nothing more; what it held is run by the others.
    Lost {
        /// Its place among the devices of its model.
        device: usize,
        /// What went wrong.
        reason: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
}

impl DeviceEvent {
    fn lost(device: usize, error: &Error) -> DeviceEvent {
        DeviceEvent::Lost { device, reason: error.to_string(), hint: error.hint().map(Cow::into_owned) }
    }
}

/// Runs batches through a model on one or more devices, ahead of the caller that takes the results.
///
/// A thread a device takes batches from the one loader, keeps `IN_FLIGHT` of them on the device and hands the results
/// on. Every record of the loader comes out exactly once; a record of several windows when its last window is done. A
/// device that fails, or hangs past `device_timeout`, is dropped and what it held goes to the others; the run fails
/// only when none is left. After an error nothing more comes.
pub struct AsyncInferenceRunner {
    results: Option<Receiver<Option<Result<RunnerItem, Error>>>>,
    shared: Arc<Shared>,
    /// None once a device was given up: its thread may never come back.
    workers: Vec<Option<JoinHandle<()>>>,
    tallies: Arc<[Tally]>,
    looked: Instant,
    /// What each device's results depend on, as far as it is chosen by now, and what its time went to.
    accounts: Box<dyn Fn() -> Vec<Account> + Send + Sync>,
}

/// What a device's results depend on, and what its time went to.
type Account = (Vec<String>, Option<Work>);

/// Batches submitted to a device before the first one's results are waited for.
pub(crate) const IN_FLIGHT: usize = 2;

/// How often hung devices are looked for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often it is asked at the end whether a device's thread has ended.
const LOOK_AT_END: Duration = Duration::from_millis(2);

impl AsyncInferenceRunner {
    /// Starts running what `loader` gives, on every one of `devices`, each with the model's weights on it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use virpack_core::device::Cpu;
    /// use virpack_core::model::{Esm2, Esm2Config, RandomTensors};
    /// use virpack_core::seq::{
    ///     AsyncDataLoader, CollatorOptions, EsmTokenizer, GreedyPacker, LoaderOptions, PackerOptions,
    ///     Record, Records, VarlenCollator,
    /// };
    /// use virpack_core::{AsyncInferenceRunner, RunnerItem, RunnerOptions};
    ///
    /// let (cpu, layers) = (Arc::new(Cpu::new(None)?), 2);
    /// let config = Esm2Config::published(layers, 32, 2);
    /// let model = Arc::new(Esm2::build(&*cpu, config, &RandomTensors { seed: 1 })?);
    /// let packer = GreedyPacker::new(PackerOptions::new(2_048, 1_024))?;
    /// let collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// let records = [Record::new("a", "MKTLLV"), Record::new("b", "MKQ")];
    /// let records = Records::from_records("proteins", records);
    /// let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, LoaderOptions::default())?;
    /// for item in AsyncInferenceRunner::new(vec![(cpu, model)], loader, RunnerOptions::new(layers))? {
    ///     if let RunnerItem::Embeddings(embeddings) = item? {
    ///         assert_eq!((embeddings.rows.len(), embeddings.hidden), (2, 32));
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    ///
    /// # Panics
    ///
    /// Without a device.
    pub fn new<B, M>(
        devices: Vec<(Arc<B>, Arc<M>)>,
        loader: AsyncDataLoader,
        options: RunnerOptions,
    ) -> Result<Self, Error>
    where
        B: Backend + 'static,
        M: Encoder<B> + ?Sized + 'static,
    {
        let model = &devices.first().expect("a runner has a device").1;
        // Without pooling no windows come.
        let pool = options.pool.unwrap_or(Pool::Mean);
        let joiner = WindowJoiner::new(pool, model.hidden_size(), model.span(), options.window_overlap);
        let queue = Queue::new(loader, devices.len(), options.cancel.clone());
        let shared = Arc::new(Shared { queue, joiner: Mutex::new(joiner), options });
        let tallies: Arc<[Tally]> = devices.iter().map(|_| Tally::default()).collect();
        let (send, results) = bounded(IN_FLIGHT * devices.len());
        let (results, looked) = (Some(results), Instant::now());
        let backends: Vec<Arc<B>> = devices.iter().map(|(backend, _)| Arc::clone(backend)).collect();
        let account = |backend: &Arc<B>| (backend.computed_by(), backend.work());
        let accounts = Box::new(move || backends.iter().map(account).collect());
        let workers = Vec::new();
        let mut runner = AsyncInferenceRunner { results, shared, workers, tallies, looked, accounts };
        for (device, (backend, model)) in devices.into_iter().enumerate() {
            let (shared, tallies) = (Arc::clone(&runner.shared), Arc::clone(&runner.tallies));
            let send = send.clone();
            let worker = std::thread::Builder::new()
                .name(format!("device {device}"))
                .spawn(move || work(device, &*backend, &*model, &shared, &tallies[device], &send))
                .map_err(|source| ThreadError::NotStarted { thread: "runner", source })?;
            runner.workers.push(Some(worker));
        }
        Ok(runner)
    }

    /// Where results come, to be waited for together with others; nothing at the end. What comes is taken by
    /// [`AsyncInferenceRunner::poll`].
    pub(crate) fn queue(&self) -> Option<&Receiver<Option<Result<RunnerItem, Error>>>> {
        self.results.as_ref()
    }

    /// As [`Iterator::next`], without waiting: pending where nothing has come yet. To be asked every [`LOOK_EVERY`], or
    /// no device that hangs is found.
    pub(crate) fn poll(&mut self) -> Poll<Option<Result<RunnerItem, Error>>> {
        if let Some(lost) = self.look_for_hung() {
            return Poll::Ready(Some(lost));
        }
        let Some(results) = &self.results else { return Poll::Ready(None) };
        match results.try_recv() {
            Ok(Some(result)) => Poll::Ready(Some(result)),
            Ok(None) | Err(TryRecvError::Disconnected) => {
                self.results = None;
                Poll::Ready(None)
            }
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }

    /// Returns what each device has done so far.
    pub(crate) fn tallies(&self) -> Vec<DeviceTally> {
        self.tallies.iter().map(Tally::read).collect()
    }

    /// Returns what each device's bits depend on beside record, weights and precision, a line each: its
    /// kind, its libraries, and what was chosen among their ways.
    pub fn computed_by(&self) -> Vec<Vec<String>> {
        (self.accounts)().into_iter().map(|(computed_by, _)| computed_by).collect()
    }

    /// Returns what each device's time went to since it was opened, where it keeps account.
    pub(crate) fn work(&self) -> Vec<Option<Work>> {
        (self.accounts)().into_iter().map(|(_, work)| work).collect()
    }

    /// Gives up devices that hang: the first as what to yield.
    fn look_for_hung(&mut self) -> Option<Result<RunnerItem, Error>> {
        let timeout = self.shared.options.device_timeout?;
        let since = self.looked.elapsed();
        if since < LOOK_EVERY {
            return None;
        }
        self.looked = Instant::now();
        if since > timeout / 2 {
            // The caller took no results for that time, and the devices had to wait: the fault is not theirs.
            self.shared.queue.all_moved();
            return None;
        }
        let device = self.shared.queue.hung(timeout).first().copied()?;
        let left = self.shared.queue.leave(device)?;
        self.tallies[device].lose();
        self.workers[device] = None;
        let hung = Error::Hung { device, seconds: timeout.as_secs() };
        if left == 0 {
            self.results = None;
            return Some(Err(hung));
        }
        Some(Ok(RunnerItem::Device(DeviceEvent::lost(device, &hung))))
    }
}

/// A device's thread, from its first batch to its last.
fn work<B: Backend, M: Encoder<B> + ?Sized>(
    device: usize,
    backend: &B,
    model: &M,
    shared: &Shared,
    tally: &Tally,
    send: &Results,
) {
    let (in_flight, most_tokens) = (VecDeque::new(), usize::MAX);
    let mut worker = Worker { device, backend, model, shared, send, tally, in_flight, most_tokens };
    // A panic in a model must not look like the end of the input.
    let end = catch_unwind(AssertUnwindSafe(|| worker.run()));
    drop(worker);
    tally.lose();
    let lost = match end {
        Ok(Ok(())) => None,
        Ok(Err(Stop::Device(error))) => Some(error),
        Ok(Err(Stop::Run(error))) => {
            shared.queue.stop(Some(error));
            None
        }
        Ok(Err(Stop::ResultsDropped)) => {
            shared.queue.stop(None);
            None
        }
        Err(panic) => Some(ThreadError::panicked("runner", &*panic).into()),
    };
    // A consumer that is gone wants nothing of this.
    if let Some(error) = &lost
        && shared.queue.others(device) > 0
    {
        let _ = send.send(Some(Ok(RunnerItem::Device(DeviceEvent::lost(device, error)))));
    }
    if shared.queue.leave(device) == Some(0) {
        let waiting = shared.joiner.lock().waiting();
        let is_whole = !shared.options.cancel.is_cancelled();
        let missing = (waiting > 0 && is_whole).then_some(Error::WindowsMissing { records: waiting });
        if let Some(error) = lost.or_else(|| shared.queue.take_failure()).or(missing) {
            let _ = send.send(Some(Err(error)));
        }
        let _ = send.send(None);
    }
}

impl Iterator for AsyncInferenceRunner {
    type Item = Result<RunnerItem, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(lost) = self.look_for_hung() {
                return Some(lost);
            }
            match self.results.as_ref()?.recv_timeout(LOOK_EVERY) {
                Ok(Some(result)) => return Some(result),
                Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                    self.results = None;
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => (),
            }
        }
    }
}

impl Drop for AsyncInferenceRunner {
    fn drop(&mut self) {
        // The workers stop at their next send, or when they ask for more.
        self.results = None;
        self.shared.queue.stop(None);
        for (device, worker) in self.workers.iter_mut().enumerate() {
            let Some(worker) = worker.take() else { continue };
            if let Some(timeout) = self.shared.options.device_timeout {
                // A device that hangs never gives its thread back.
                while !worker.is_finished() && !self.shared.queue.hung(timeout).contains(&device) {
                    std::thread::sleep(LOOK_AT_END);
                }
                if !worker.is_finished() {
                    continue;
                }
            }
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for AsyncInferenceRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncInferenceRunner").field("devices", &self.tallies()).finish_non_exhaustive()
    }
}
