//! Turns inputs into packed batches, ahead of their consumers.
//!
//! One thread reads, decompresses and cuts the text into blocks of complete records; several parse and
//! tokenize, a block each; one puts what they make in order; one collates. Between them go blocks and slabs
//! of many records over bounded queues, so that each runs at most a few steps ahead of the next.

mod counters;
mod credit;
mod in_order;
mod pipeline;
mod queue;
mod workers;

use parking_lot::Mutex;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

pub use counters::LoaderCounters;
pub(crate) use credit::Credit;
pub(crate) use in_order::{InOrder, TaskSender, Turn, half_of_cores, in_order};
pub(crate) use pipeline::{SlabSender, create_slab_loader};
pub(crate) use queue::StopReason;
pub(crate) use workers::{MOST_ASKED, guard, spawn};

use crate::batch::PackedBatch;
use crate::collate::VarlenCollator;
use crate::error::SeqError;
use crate::index_set::IndexSet;
use crate::input::Input;
use crate::length_policy::LengthPolicy;
use crate::pack::PackStats;
use crate::reader::{ReadProgress, Records};
use crate::record::SkippedRecord;
use crate::tokenize::Tokenizer;

/// How far a loader runs ahead, and which records it lets through.
///
/// ```
/// use virpack_seq::{LengthPolicy, LoaderOptions};
///
/// let lengths = LengthPolicy { max_length: 500, ..LengthPolicy::default() };
/// let options = LoaderOptions::default().lengths(lengths).prefetch(8);
/// assert_eq!((options.lengths.max_tokens(), options.prefetch), (502, 8));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoaderOptions {
    /// Most batches that wait for a consumer; at least one.
    pub prefetch: usize,
    /// The lengths that go through.
    pub lengths: LengthPolicy,
    /// Emits a partial batch after this long without a new record, if no batch waits. Off by default: with
    /// it, batches depend on time.
    pub max_wait: Option<Duration>,
    /// Threads that parse and tokenize; None: half of the cores, at most eight. Where a record depends on
    /// those before it (a shard, unique ids) there is one. What comes out does not depend on it.
    pub tokenizer_threads: Option<NonZeroUsize>,
    /// Records that are done: their sequences are not [needed](crate::SequenceIndex::needed). A
    /// batch of nothing else is made, as it shapes those after it, and not handed out.
    pub done: Option<Arc<IndexSet>>,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        LoaderOptions {
            prefetch: 4,
            lengths: LengthPolicy::default(),
            max_wait: None,
            tokenizer_threads: None,
            done: None,
        }
    }
}

impl LoaderOptions {
    /// Lets this many batches wait for a consumer.
    #[must_use]
    pub fn prefetch(mut self, prefetch: usize) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// Lets these lengths through.
    #[must_use]
    pub fn lengths(mut self, lengths: LengthPolicy) -> Self {
        self.lengths = lengths;
        self
    }

    /// Releases the best batch so far when no record came for this time and no batch waits.
    #[must_use]
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = Some(max_wait);
        self
    }

    /// Parses and tokenizes by this many threads, at most 64.
    #[must_use]
    pub fn tokenizer_threads(mut self, tokenizer_threads: NonZeroUsize) -> Self {
        self.tokenizer_threads = Some(tokenizer_threads);
        self
    }

    /// Marks the sequences of these records as not needed.
    #[must_use]
    pub fn done(mut self, done: Arc<IndexSet>) -> Self {
        self.done = Some(done);
        self
    }
}

/// What a loader yields.
#[derive(Clone, Debug, PartialEq)]
pub enum LoaderItem {
    /// Sequences for the model.
    Batch(PackedBatch),
    /// Records that got no tokens, in input order.
    Skipped(Vec<SkippedRecord>),
}

/// Packed batches from a stream of records, made on threads of its own.
///
/// Clones share one queue: each batch goes to one of them. Every record that was read comes out exactly
/// once, in a batch or as skipped (its windows each once). An error comes after all batches made of the
/// records before it, and is the last that comes. When the last clone is dropped the threads stop within
/// 100 ms; only one that the system holds in a read (of a pipe that gives nothing) stays until the read
/// returns.
#[derive(Clone, Debug)]
pub struct AsyncDataLoader {
    queue: Receiver<Result<LoaderItem, SeqError>>,
    shared: Arc<Shared>,
}

/// What all clones of a loader hold together.
#[derive(Debug)]
struct Shared {
    /// Never sent on: the threads stop when it goes.
    _stop: Sender<()>,
    counters: Arc<Mutex<LoaderCounters>>,
    stats: Arc<OnceLock<PackStats>>,
    progress: Arc<ReadProgress>,
    inputs: Arc<[Input]>,
}

/// Builds an [`AsyncDataLoader`] and starts its threads.
///
/// # Errors
///
/// A length policy that cannot be (see [`LengthPolicy::check`]), a token budget that cannot hold the
/// longest sequence it lets through, or no threads.
///
/// ```
/// use virpack_seq::*;
///
/// let records = Records::from_reader("two.fasta", &b">a\nMKTLLV\n>b\n"[..])?;
/// let options = LoaderOptions::default();
/// let packer = GreedyPacker::new(PackerOptions::new(4096, options.lengths.max_tokens()))?;
/// let collator = VarlenCollator::new(packer, CollatorOptions::default())?;
/// let loader = create_async_dataloader(records, EsmTokenizer::new(), collator, options)?;
/// for loaded in loader {
///     match loaded? {
///         LoaderItem::Batch(batch) => assert_eq!(batch.cu_seqlens, [0, 8]),
///         LoaderItem::Skipped(records) => assert_eq!(records[0].reason.as_str(), "empty"),
///     }
/// }
/// # Ok::<(), SeqError>(())
/// ```
pub fn create_async_dataloader(
    records: Records,
    tokenizer: impl Tokenizer + 'static,
    collator: VarlenCollator,
    options: LoaderOptions,
) -> Result<AsyncDataLoader, SeqError> {
    options.lengths.check()?;
    let longest = options.lengths.max_tokens();
    if longest > collator.packer().longest() {
        return Err(SeqError::BudgetTooSmall { token_budget: collator.packer().token_budget(), longest });
    }
    let (slabs, loader) = create_slab_loader(&records, collator, &options)?;
    workers::start(records, Box::new(tokenizer), &options, slabs)?;
    Ok(loader)
}

impl AsyncDataLoader {
    /// Returns the same as [`create_async_dataloader`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn new(
        records: Records,
        tokenizer: impl Tokenizer + 'static,
        collator: VarlenCollator,
        options: LoaderOptions,
    ) -> Result<Self, SeqError> {
        create_async_dataloader(records, tokenizer, collator, options)
    }

    /// Returns a loader of what comes through `queue`; its threads end when `stop` goes.
    fn new_empty(
        queue: Receiver<Result<LoaderItem, SeqError>>,
        stop: Sender<()>,
        records: &Records,
    ) -> AsyncDataLoader {
        let shared = Shared {
            _stop: stop,
            counters: Arc::default(),
            stats: Arc::default(),
            progress: records.progress(),
            inputs: Arc::clone(records.inputs()),
        };
        AsyncDataLoader { queue, shared: Arc::new(shared) }
    }

    /// Returns the next batch or skipped records, from any thread; waits for it. `None` at the end.
    ///
    /// # Errors
    ///
    /// What went wrong in reading, tokenizing or collating; it is the last thing that comes.
    ///
    /// ```
    /// use virpack_seq::*;
    ///
    /// let records = Records::from_reader("two.fasta", &b">a\nMKTLLV\n>b\nMK\n"[..])?;
    /// let packer = GreedyPacker::new(PackerOptions::new(4096, LengthPolicy::default().max_tokens()))?;
    /// let collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// let loader = create_async_dataloader(records, EsmTokenizer::new(), collator, LoaderOptions::default())?;
    /// let other = loader.clone(); // for a second consumer
    /// while let Some(item) = loader.receive().transpose()? {
    ///     assert!(matches!(item, LoaderItem::Batch(batch) if batch.len() == 2));
    /// }
    /// assert!(other.receive().is_none());
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn receive(&self) -> Option<Result<LoaderItem, SeqError>> {
        match self.queue.try_recv() {
            Ok(loaded) => Some(loaded),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                let start = Instant::now();
                let loaded = self.queue.recv().ok();
                self.shared.counters.lock().consumer_wait += start.elapsed();
                loaded
            }
        }
    }

    /// As [`AsyncDataLoader::receive`], but waits for that time at most: pending if nothing has come by then.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn receive_within(&self, most: Duration) -> Poll<Option<Result<LoaderItem, SeqError>>> {
        let start = Instant::now();
        let received = self.queue.recv_timeout(most);
        self.shared.counters.lock().consumer_wait += start.elapsed();
        match received {
            Ok(loaded) => Poll::Ready(Some(loaded)),
            Err(RecvTimeoutError::Disconnected) => Poll::Ready(None),
            Err(RecvTimeoutError::Timeout) => Poll::Pending,
        }
    }

    /// As [`AsyncDataLoader::receive`], without waiting: pending where nothing has come yet.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll(&self) -> Poll<Option<Result<LoaderItem, SeqError>>> {
        match self.queue.try_recv() {
            Ok(loaded) => Poll::Ready(Some(loaded)),
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }

    /// Returns what the loader has done so far; to be read at any time.
    ///
    /// ```
    /// use virpack_seq::*;
    ///
    /// let records = Records::from_reader("two.fasta", &b">a\nMKTLLV\n>b\nMK\n"[..])?;
    /// let packer = GreedyPacker::new(PackerOptions::new(4096, LengthPolicy::default().max_tokens()))?;
    /// let collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// let loader = create_async_dataloader(records, EsmTokenizer::new(), collator, LoaderOptions::default())?;
    /// assert_eq!(loader.clone().count(), 1);
    /// let counters = loader.counters();
    /// assert_eq!((counters.sequences, counters.tokens, counters.batches), (2, 12, 1));
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn counters(&self) -> LoaderCounters {
        *self.shared.counters.lock()
    }

    /// How well the batches are filled; known when the stream has ended.
    ///
    /// ```
    /// use virpack_seq::*;
    ///
    /// let records = Records::from_reader("two.fasta", &b">a\nMKTLLV\n>b\nMK\n"[..])?;
    /// let packer = GreedyPacker::new(PackerOptions::new(4096, LengthPolicy::default().max_tokens()))?;
    /// let collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    /// let loader = create_async_dataloader(records, EsmTokenizer::new(), collator, LoaderOptions::default())?;
    /// assert_eq!(loader.clone().count(), 1);
    /// assert_eq!(loader.stats().unwrap().tokens, 12);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn stats(&self) -> Option<PackStats> {
        self.shared.stats.get().cloned()
    }

    /// Returns how far the reading is.
    pub fn progress(&self) -> &Arc<ReadProgress> {
        &self.shared.progress
    }

    /// Returns the inputs, as they were named; `source` in a batch's index counts in them.
    pub fn inputs(&self) -> &[Input] {
        &self.shared.inputs
    }
}

impl Iterator for AsyncDataLoader {
    type Item = Result<LoaderItem, SeqError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receive()
    }
}

#[cfg(test)]
mod tests;
