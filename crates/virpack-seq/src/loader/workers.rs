//! The three threads of a loader.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::counters::Counters;
use super::queue::{Stopped, WaitOutcome, receive, send};
use super::{LoaderItem, LoaderOptions, parallel};
use crate::batch::PackedBatch;
use crate::collate::VarlenCollator;
use crate::error::SeqError;
use crate::index_set::IndexSet;
use crate::length_policy::LengthPolicy;
use crate::pack::PackStats;
use crate::reader::{Block, Blocks, Parser};
use crate::record::Record;
use crate::slab::TokenSlab;
use crate::tokenize::Tokenizer;

/// Blocks or slabs that may wait between two threads: enough to even out their paces, few enough to stay
/// in the cache that the cores share.
const AHEAD: usize = 4;

/// All that the threads need.
pub(super) struct Work {
    pub(super) blocks: Blocks,
    pub(super) parser: Parser,
    pub(super) tokenizer: Box<dyn Tokenizer>,
    pub(super) collator: VarlenCollator,
    pub(super) options: LoaderOptions,
    pub(super) queue: Sender<Result<LoaderItem, SeqError>>,
    /// Disconnected when the last consumer is gone.
    pub(super) stopped: Receiver<()>,
    pub(super) counters: Arc<Counters>,
    pub(super) stats: Arc<Mutex<Option<PackStats>>>,
}

/// Starts the threads. They are never joined: each ends by itself when its input ends or nobody listens.
pub(super) fn start(work: Work) -> Result<(), SeqError> {
    let (send_block, blocks) = bounded(AHEAD);
    let (slabs, collating) = Slabs::new();
    let reading = Reading { blocks: work.blocks, to: send_block, stopped: work.stopped.clone() };
    let tokenizing = Tokenizing {
        from: blocks,
        to: slabs.to,
        recycled: slabs.recycled,
        stopped: work.stopped.clone(),
        parser: work.parser,
        threads: match work.options.tokenizer_threads {
            _ if !work.tokenizer.merges_letters() => 1,
            Some(threads) => threads.get(),
            None => parallel::threads(),
        },
        tokenizer: work.tokenizer,
        lengths: work.options.lengths,
        counters: Arc::clone(&work.counters),
    };
    start_collating(Packing {
        slabs: collating,
        queue: work.queue,
        stopped: work.stopped,
        collator: work.collator,
        options: work.options,
        counters: work.counters,
        stats: work.stats,
    })?;
    spawn("tokenizing", move || tokenizing.run())?;
    spawn("reading", move || reading.run())
}

/// The way of slabs from whoever fills them to whoever packs them, and back.
pub(super) struct Slabs {
    pub(super) to: Sender<Result<TokenSlab, SeqError>>,
    /// Empty ones, to be filled again.
    pub(super) recycled: Receiver<TokenSlab>,
}

/// The other end of [`Slabs`].
pub(super) struct SlabsOut {
    from: Receiver<Result<TokenSlab, SeqError>>,
    used: Sender<TokenSlab>,
}

impl Slabs {
    pub(super) fn new() -> (Slabs, SlabsOut) {
        let (to, from) = bounded(AHEAD);
        let (used, recycled) = bounded(2 * AHEAD);
        (Slabs { to, recycled }, SlabsOut { from, used })
    }
}

/// All that the last thread needs.
pub(super) struct Packing {
    pub(super) slabs: SlabsOut,
    pub(super) queue: Sender<Result<LoaderItem, SeqError>>,
    pub(super) stopped: Receiver<()>,
    pub(super) collator: VarlenCollator,
    pub(super) options: LoaderOptions,
    pub(super) counters: Arc<Counters>,
    pub(super) stats: Arc<Mutex<Option<PackStats>>>,
}

/// Starts the last thread alone, for slabs that are filled elsewhere.
pub(super) fn start_collating(packing: Packing) -> Result<(), SeqError> {
    let collating = Collating { work: packing, done: IndexSet::default() };
    spawn("collating", move || collating.run())
}

pub(crate) fn spawn(
    worker: &'static str,
    body: impl FnOnce() -> Result<(), Stopped> + Send + 'static,
) -> Result<(), SeqError> {
    std::thread::Builder::new()
        .name(format!("virpack-{worker}"))
        // `Stopped` only says that nobody listens any more.
        .spawn(move || drop(body()))
        .map(drop)
        .map_err(|source| SeqError::Thread { worker, source })
}

/// Runs a step and turns its panic into an error.
pub(crate) fn guard<T>(worker: &'static str, step: impl FnOnce() -> T) -> Result<T, SeqError> {
    catch_unwind(AssertUnwindSafe(step))
        .map_err(|panic| SeqError::WorkerPanicked { worker, message: message(&*panic) })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// Reads, decompresses, cuts into blocks.
struct Reading {
    blocks: Blocks,
    to: Sender<Result<Block, SeqError>>,
    stopped: Receiver<()>,
}

impl Reading {
    fn run(mut self) -> Result<(), Stopped> {
        loop {
            match guard("reading", || self.blocks.next()).and_then(|block| block) {
                Ok(Some(block)) => send(&self.to, &self.stopped, Ok(block))?,
                Ok(None) => return Ok(()),
                Err(error) => return send(&self.to, &self.stopped, Err(error)),
            }
        }
    }
}

/// Parses blocks and tokenizes their records, a slab a block.
struct Tokenizing {
    from: Receiver<Result<Block, SeqError>>,
    to: Sender<Result<TokenSlab, SeqError>>,
    recycled: Receiver<TokenSlab>,
    stopped: Receiver<()>,
    parser: Parser,
    tokenizer: Box<dyn Tokenizer>,
    lengths: LengthPolicy,
    /// Threads that tokenize a block; one where letters are only looked up.
    threads: usize,
    counters: Arc<Counters>,
}

impl Tokenizing {
    fn run(mut self) -> Result<(), Stopped> {
        let mut record = Record::default();
        loop {
            let block = match receive(&self.from, &self.stopped, None)? {
                WaitOutcome::Message(Ok(block)) => block,
                WaitOutcome::Message(Err(error)) => {
                    return send(&self.to, &self.stopped, Err(self.parser.locate(error)));
                }
                WaitOutcome::Late | WaitOutcome::End => return Ok(()),
            };
            let mut slab = self.recycled.try_recv().unwrap_or_default();
            let result = guard("tokenizing", || self.tokenize(block, &mut record, &mut slab));
            // What is whole goes on, whatever came after it.
            self.counters.add_slab(&slab.counts, slab.len() as u64, slab.total_tokens() as u64);
            send(&self.to, &self.stopped, Ok(slab))?;
            if let Err(error) = result.and_then(|result| result) {
                return send(&self.to, &self.stopped, Err(error));
            }
        }
    }

    fn tokenize(&mut self, block: Block, record: &mut Record, slab: &mut TokenSlab) -> Result<(), SeqError> {
        self.parser.feed(block);
        if self.threads > 1 {
            return self.tokenize_together(slab);
        }
        while self.parser.read(record)? {
            self.lengths.apply(&*self.tokenizer, record, self.parser.inputs(), slab)?;
        }
        Ok(())
    }

    /// All records of the block at once, and then the error of the parser, if one ended them.
    fn tokenize_together(&mut self, slab: &mut TokenSlab) -> Result<(), SeqError> {
        let mut records = Vec::new();
        let end = loop {
            let mut record = Record::default();
            match self.parser.read(&mut record) {
                Ok(true) => records.push(record),
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let (lengths, tokenizer) = (&self.lengths, &*self.tokenizer);
        parallel::apply(lengths, tokenizer, &records, self.parser.inputs(), self.threads, slab)?;
        end
    }
}

/// Collates slabs into batches.
struct Collating {
    work: Packing,
    /// Sequences that slabs have said nobody needs.
    done: IndexSet,
}

impl Collating {
    fn run(mut self) -> Result<(), Stopped> {
        let end = match guard("collating", || self.collate()) {
            Ok(end) => end?,
            Err(panic) => Err(panic),
        };
        match end {
            Ok(()) => Ok(()),
            Err(error) => self.send(Err(error)),
        }
    }

    /// Runs to the end of the input, or to an error, which is handed back when all batches before it are
    /// out.
    fn collate(&mut self) -> Result<Result<(), SeqError>, Stopped> {
        let end = loop {
            let timeout = self.work.options.max_wait.filter(|_| self.work.collator.counters().waiting > 0);
            match receive(&self.work.slabs.from, &self.work.stopped, timeout)? {
                WaitOutcome::Message(Ok(slab)) => {
                    if let Err(error) = self.take(slab)? {
                        break Err(error);
                    }
                }
                WaitOutcome::Message(Err(error)) => break Err(error),
                WaitOutcome::Late if self.work.queue.is_empty() => {
                    if let Some(batch) = self.work.collator.release() {
                        self.send_batch(batch)?;
                    }
                }
                WaitOutcome::Late => {}
                WaitOutcome::End => break Ok(()),
            }
        };
        self.flush()?;
        if let Ok(mut stats) = self.work.stats.lock() {
            *stats = Some(self.work.collator.stats());
        }
        Ok(end)
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        for batch in self.work.collator.flush() {
            self.send_batch(batch)?;
        }
        Ok(())
    }

    fn take(&mut self, mut slab: TokenSlab) -> Result<Result<(), SeqError>, Stopped> {
        slab.done.drain(..).for_each(|number| _ = self.done.insert(number));
        for (tokens, index) in slab.drain() {
            if let Err(error) = self.work.collator.push(tokens, index) {
                return Ok(Err(error));
            }
            while let Some(batch) = self.work.collator.pop() {
                self.send_batch(batch)?;
            }
        }
        if !slab.skipped.is_empty() {
            self.send(Ok(LoaderItem::Skipped(std::mem::take(&mut slab.skipped))))?;
        }
        if slab.flush {
            self.flush()?;
        }
        slab.clear();
        // A full return queue means that enough slabs are about: this one may go.
        let _ = self.work.slabs.used.try_send(slab);
        Ok(Ok(()))
    }

    fn send_batch(&self, batch: PackedBatch) -> Result<(), Stopped> {
        let before = self.work.options.done.as_deref();
        let is_done =
            |number| self.done.contains(number) || before.is_some_and(|before| before.contains(number));
        if batch.index.iter().all(|index| is_done(index.number)) {
            self.work.counters.add_done(batch.total_tokens() as u64);
            return Ok(());
        }
        self.work.counters.add_batch();
        self.send(Ok(LoaderItem::Batch(batch)))
    }

    fn send(&self, message: Result<LoaderItem, SeqError>) -> Result<(), Stopped> {
        if !self.work.queue.is_full() {
            return send(&self.work.queue, &self.work.stopped, message);
        }
        let start = Instant::now();
        let result = send(&self.work.queue, &self.work.stopped, message);
        self.work.counters.add_loader_wait(start.elapsed());
        result
    }
}
