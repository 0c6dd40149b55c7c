//! The threads that read, tokenize, and put what is tokenized in order.
//!
//! A block of records goes to whichever tokenizing thread is free, and an empty place for its sequences to
//! the thread that puts them in order. A record's place in the whole input is known only there: a
//! tokenizing thread counts its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::credit::Credit;
use super::queue::{StopReason, WaitOutcome, receive, send};
use super::{LoaderOptions, SlabSender};
use crate::error::{SeqError, ThreadError};
use crate::length_policy::LengthPolicy;
use crate::reader::{Block, Blocks, Parser, Records};
use crate::record::Record;
use crate::slab::TokenSlab;
use crate::tokenize::Tokenizer;

/// Blocks or slabs that may wait between two threads: enough to even out their paces, few enough to stay
/// in the cache that the cores share.
pub(super) const AHEAD: usize = 4;

/// Bytes of all blocks that are read and not in order yet; a larger one is alone.
const MOST_BYTES: u64 = 32 << 20;

/// More tokenizing threads would only wait: four take 600 million letters a second.
const MOST_THREADS: usize = 8;
/// Threads that an option may ask for.
const MOST_ASKED: usize = 64;

/// Starts the threads that fill slabs. They are never joined: each ends by itself when its input
/// ends or no consumer is left.
pub(super) fn start(
    records: Records,
    tokenizer: Box<dyn Tokenizer>,
    options: &LoaderOptions,
    slabs: SlabSender,
) -> Result<(), SeqError> {
    let (blocks, mut parser) = records.split();
    let threads = if parser.is_sequential() { 1 } else { threads(options) };
    let (to, from) = bounded(AHEAD.max(threads));
    let (to_order, in_order) = bounded(AHEAD + threads);
    let credit = Arc::new(Credit::new(MOST_BYTES));
    let stopped = slabs.stopped().clone();
    let tokenizer: Arc<dyn Tokenizer> = tokenizer.into();
    let mut spare: Vec<TokenizerWorker> = (0..threads)
        .map(|_| TokenizerWorker {
            from: from.clone(),
            recycled: slabs.recycled().clone(),
            stopped: stopped.clone(),
            parser: parser.fork(),
            tokenizer: Arc::clone(&tokenizer),
            lengths: options.lengths,
        })
        .collect();
    if let Some(first) = spare.pop() {
        spawn("tokenizing", move || first.run())?;
    }
    let ordering = OrderWorker { from: in_order, slabs, parser, credit: Arc::clone(&credit) };
    spawn("ordering", move || ordering.run())?;
    let reading = ReaderWorker { blocks, to, to_order, credit, stopped, spare };
    spawn("reading", move || reading.run())
}

/// Threads that tokenize: half of the cores, as reading, collating and the model want theirs.
fn threads(options: &LoaderOptions) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let half = || (cores() / 2).clamp(1, MOST_THREADS);
    options.tokenizer_threads.map_or_else(half, |threads| threads.get().min(MOST_ASKED))
}

pub(crate) fn spawn(
    worker: &'static str,
    body: impl FnOnce() -> Result<(), StopReason> + Send + 'static,
) -> Result<(), SeqError> {
    std::thread::Builder::new()
        .name(format!("virpack-{worker}"))
        // Errors were sent to the consumers: what is left says only that all of them are gone.
        .spawn(move || drop(body()))
        .map(drop)
        .map_err(|source| ThreadError::NotStarted { thread: worker, source }.into())
}

/// Runs a step and turns its panic into an error.
pub(crate) fn guard<T, E: From<SeqError>>(
    worker: &'static str,
    step: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|panic| Err(SeqError::from(ThreadError::panicked(worker, &*panic)).into()))
}

/// A block to tokenize, and where its sequences are waited for.
type Task = (Block, Sender<Tokenized>);

/// The place of a block's sequences among those of all blocks.
struct Turn {
    /// Bytes of the block.
    bytes: u64,
    /// Where its sequences come.
    from: Receiver<Tokenized>,
}

/// A block, tokenized.
struct Tokenized {
    slab: TokenSlab,
    source: u32,
    /// Records that the thread counted before, of all inputs and of this one.
    before: [u64; 2],
    /// Records of the block.
    records: u64,
    /// What ended it early; the sequences before are in the slab.
    error: Option<SeqError>,
}

/// Reads, decompresses, cuts into blocks.
struct ReaderWorker {
    blocks: Blocks,
    to: Sender<Task>,
    to_order: Sender<Result<Turn, SeqError>>,
    credit: Arc<Credit>,
    stopped: Receiver<()>,
    /// Tokenizing threads to start, one with each block: an input of a few records has one.
    spare: Vec<TokenizerWorker>,
}

impl ReaderWorker {
    fn run(mut self) -> Result<(), StopReason> {
        loop {
            match guard("reading", || self.blocks.next()) {
                Ok(Some(block)) => self.send(block)?,
                Ok(None) => return Ok(()),
                Err(error) => return send(&self.to_order, &self.stopped, Err(error)),
            }
        }
    }

    fn send(&mut self, block: Block) -> Result<(), StopReason> {
        let (to, from) = bounded(1);
        let bytes = block.bytes();
        self.credit.take(bytes)?;
        send(&self.to_order, &self.stopped, Ok(Turn { bytes, from }))?;
        if !self.to.is_empty()
            && let Some(next) = self.spare.pop()
        {
            // Where the system gives no thread, those that there are do its work.
            let _ = spawn("tokenizing", move || next.run());
        }
        send(&self.to, &self.stopped, (block, to))
    }
}

/// Parses blocks and tokenizes their records, a slab a block.
struct TokenizerWorker {
    from: Receiver<Task>,
    /// Empty slabs, to be filled again.
    recycled: Receiver<TokenSlab>,
    stopped: Receiver<()>,
    parser: Parser,
    tokenizer: Arc<dyn Tokenizer>,
    lengths: LengthPolicy,
}

impl TokenizerWorker {
    fn run(mut self) -> Result<(), StopReason> {
        let mut record = Record::default();
        loop {
            let (block, to) = match receive(&self.from, &self.stopped, None)? {
                WaitOutcome::Message(task) => task,
                WaitOutcome::Late | WaitOutcome::End => return Ok(()),
            };
            let mut slab = self.recycled.try_recv().unwrap_or_default();
            let source = block.source;
            let mut before = self.parser.counts();
            let result = guard("tokenizing", || {
                self.parser.feed(block);
                before = self.parser.counts();
                self.tokenize(&mut record, &mut slab)
            });
            let records = self.parser.counts()[0] - before[0];
            // Where it is not waited for, the stream has ended.
            let _ = to.send(Tokenized { slab, source, before, records, error: result.err() });
        }
    }

    fn tokenize(&mut self, record: &mut Record, slab: &mut TokenSlab) -> Result<(), SeqError> {
        while self.parser.read(record)? {
            self.lengths.apply(&*self.tokenizer, record, self.parser.inputs(), slab)?;
        }
        Ok(())
    }
}

/// Puts slabs in the order of their blocks, and gives their records their places.
struct OrderWorker {
    from: Receiver<Result<Turn, SeqError>>,
    slabs: SlabSender,
    /// Counts the records of all blocks.
    parser: Parser,
    credit: Arc<Credit>,
}

impl OrderWorker {
    fn run(mut self) -> Result<(), StopReason> {
        loop {
            let turn = match receive(&self.from, self.slabs.stopped(), None)? {
                WaitOutcome::Message(Ok(turn)) => turn,
                WaitOutcome::Message(Err(error)) => return self.slabs.fail(self.parser.locate(error)),
                WaitOutcome::Late | WaitOutcome::End => return Ok(()),
            };
            // A thread sends a block's sequences, or its error, in any case.
            let WaitOutcome::Message(done) = receive(&turn.from, self.slabs.stopped(), None)? else {
                // It ended without either: that is not the end of the input.
                let ended = ThreadError::Panicked { thread: "tokenizing", message: None };
                return self.slabs.fail(ended.into());
            };
            self.credit.give(turn.bytes);
            let Tokenized { mut slab, source, before, records, error } = done;
            let place = self.parser.pass(source, records);
            slab.move_records(place[0].wrapping_sub(before[0]));
            // What is complete is sent on, even if an error came after it.
            self.slabs.send(slab)?;
            if let Some(error) = error {
                return self.slabs.fail(behind(error, place[1].wrapping_sub(before[1])));
            }
        }
    }
}

/// The error of a record that was counted without the first `records` of its input.
fn behind(error: SeqError, records: u64) -> SeqError {
    match error {
        SeqError::Input(error) => error.behind(records).into(),
        other => other,
    }
}

impl Drop for OrderWorker {
    fn drop(&mut self) {
        // The reader must not wait for room.
        self.credit.close();
    }
}
