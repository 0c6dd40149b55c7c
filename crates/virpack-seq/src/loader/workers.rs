//! The threads that read, tokenize, and put what is tokenized in order.
//!
//! A block of records is a task ([`in_order`]). A record's place in the whole input is known only to the
//! thread that puts results in order: a tokenizing thread counts its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::credit::Credit;
use super::in_order::{InOrder, TaskSender, Turn, half_of_cores, in_order};
use super::queue::StopReason;
use super::{LoaderOptions, SlabSender};
use crate::error::{SeqError, ThreadError};
use crate::length_policy::LengthPolicy;
use crate::reader::{Block, Blocks, Parser, ReadProgress, Records, Remark};
use crate::record::Record;
use crate::slab::TokenSlab;
use crate::tokenize::Tokenizer;

/// Blocks or slabs that may wait between two threads: enough to even out their paces, few enough to stay
/// in the cache that the cores share.
pub(super) const AHEAD: usize = 4;

/// Bytes of all blocks that are read and not in order yet; a larger one is alone.
const MOST_BYTES: u64 = 32 << 20;

/// Threads that an option may ask for.
pub(crate) const MOST_ASKED: usize = 64;

/// Starts the threads that fill slabs. They are never joined: each ends by itself when its input
/// ends or no consumer is left.
pub(super) fn start(
    records: Records,
    tokenizer: Box<dyn Tokenizer>,
    options: &LoaderOptions,
    slabs: SlabSender,
) -> Result<(), SeqError> {
    let progress = records.progress();
    let (blocks, mut parser) = records.split();
    let threads = if parser.is_sequential() { 1 } else { threads(options) };
    let credit = Arc::new(Credit::new(MOST_BYTES));
    let tokenizer: Arc<dyn Tokenizer> = tokenizer.into();
    let worker = |_| {
        let mut worker = TokenizerWorker {
            recycled: slabs.recycled().clone(),
            parser: parser.fork(),
            tokenizer: Arc::clone(&tokenizer),
            lengths: options.lengths,
            record: Record::default(),
        };
        move |block| worker.block(block)
    };
    let workers = (0..threads).map(worker).collect();
    let (tasks, in_order) = in_order("tokenizing", workers, slabs.stopped())?;
    let ordering = OrderWorker { from: in_order, slabs, parser, credit: Arc::clone(&credit) };
    spawn("ordering", move || ordering.run())?;
    let reading = ReaderWorker { blocks, tasks, progress, credit };
    spawn("reading", move || reading.run())
}

/// Returns the number of threads that tokenize.
fn threads(options: &LoaderOptions) -> usize {
    options.tokenizer_threads.map_or_else(|| half_of_cores().get(), |threads| threads.get().min(MOST_ASKED))
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

/// A block, tokenized.
struct Tokenized {
    slab: TokenSlab,
    source: u32,
    /// Bytes of the block.
    bytes: u64,
    /// Records that the thread counted before, of all inputs and of this one.
    before: [u64; 2],
    /// Records of the block.
    records: u64,
    remarks: Vec<(u32, Remark)>,
    /// What ended it early; the sequences before are in the slab.
    error: Option<SeqError>,
}

/// What the reading thread says between blocks.
enum ReadNote {
    /// Remarks on what it read since the last block.
    Remarks(Vec<(u32, Remark)>),
    /// The error that ends the input.
    Failed(SeqError),
}

/// Reads, decompresses, cuts into blocks.
struct ReaderWorker {
    blocks: Blocks,
    tasks: TaskSender<Block, Tokenized, ReadNote>,
    progress: Arc<ReadProgress>,
    credit: Arc<Credit>,
}

impl ReaderWorker {
    fn run(mut self) -> Result<(), StopReason> {
        loop {
            let next = guard("reading", || self.blocks.next());
            match self.progress.take_ahead() {
                none if none.is_empty() => {}
                remarks => self.tasks.note(ReadNote::Remarks(remarks))?,
            }
            match next {
                Ok(Some(block)) => {
                    self.credit.take(block.bytes())?;
                    self.tasks.task(block)?;
                }
                Ok(None) => return Ok(()),
                Err(error) => return self.tasks.note(ReadNote::Failed(error)),
            }
        }
    }
}

/// Parses blocks and tokenizes their records, a slab a block.
struct TokenizerWorker {
    /// Empty slabs, to be filled again.
    recycled: Receiver<TokenSlab>,
    parser: Parser,
    tokenizer: Arc<dyn Tokenizer>,
    lengths: LengthPolicy,
    record: Record,
}

impl TokenizerWorker {
    fn block(&mut self, block: Block) -> Tokenized {
        let mut slab = self.recycled.try_recv().unwrap_or_default();
        let (source, bytes) = (block.source, block.bytes());
        let mut before = self.parser.counts();
        let result = guard("tokenizing", || {
            self.parser.feed(block);
            before = self.parser.counts();
            self.tokenize(&mut slab)
        });
        let records = self.parser.counts()[0] - before[0];
        let remarks = self.parser.take_remarks();
        Tokenized { slab, source, bytes, before, records, remarks, error: result.err() }
    }

    fn tokenize(&mut self, slab: &mut TokenSlab) -> Result<(), SeqError> {
        while self.parser.read(&mut self.record)? {
            self.lengths.apply(&*self.tokenizer, &self.record, self.parser.inputs(), slab)?;
        }
        Ok(())
    }
}

/// Puts slabs in the order of their blocks, and gives their records their places.
struct OrderWorker {
    from: InOrder<Tokenized, ReadNote>,
    slabs: SlabSender,
    /// Counts the records of all blocks.
    parser: Parser,
    credit: Arc<Credit>,
}

impl OrderWorker {
    fn run(mut self) -> Result<(), StopReason> {
        loop {
            let done = match self.from.next() {
                Ok(Some(Turn::Done(done))) => done,
                Ok(Some(Turn::Note(ReadNote::Remarks(remarks)))) => {
                    self.parser.progress().tell(remarks);
                    continue;
                }
                Ok(Some(Turn::Note(ReadNote::Failed(error)))) => {
                    return self.slabs.fail(self.parser.locate(error));
                }
                Ok(None) => return Ok(()),
                Err(StopReason::Failed(error)) => return self.slabs.fail(error),
                Err(gone) => return Err(gone),
            };
            let Tokenized { mut slab, source, bytes, before, records, remarks, error } = done;
            self.credit.give(bytes);
            self.parser.progress().tell(remarks);
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
