//! The threads that read and tokenize.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::queue::{StopReason, WaitOutcome, receive, send};
use super::{LoaderOptions, SlabSender, parallel};
use crate::error::{SeqError, ThreadError};
use crate::length_policy::LengthPolicy;
use crate::reader::{Block, Blocks, Parser, Records};
use crate::record::Record;
use crate::slab::TokenSlab;
use crate::tokenize::Tokenizer;

/// Blocks or slabs that may wait between two threads: enough to even out their paces, few enough to stay
/// in the cache that the cores share.
pub(super) const AHEAD: usize = 4;

/// Starts the threads that fill slabs. They are never joined: each ends by itself when its input
/// ends or no consumer is left.
pub(super) fn start(
    records: Records,
    tokenizer: Box<dyn Tokenizer>,
    options: &LoaderOptions,
    slabs: SlabSender,
) -> Result<(), SeqError> {
    let (blocks, parser) = records.split();
    let (to, from) = bounded(AHEAD);
    let reading = ReaderWorker { blocks, to, stopped: slabs.stopped().clone() };
    let threads = match options.tokenizer_threads {
        _ if !tokenizer.merges_letters() => 1,
        Some(threads) => threads.get(),
        None => parallel::threads(),
    };
    let tokenizing = TokenizerWorker { from, slabs, parser, tokenizer, lengths: options.lengths, threads };
    spawn("tokenizing", move || tokenizing.run())?;
    spawn("reading", move || reading.run())
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

/// Reads, decompresses, cuts into blocks.
struct ReaderWorker {
    blocks: Blocks,
    to: Sender<Result<Block, SeqError>>,
    stopped: Receiver<()>,
}

impl ReaderWorker {
    fn run(mut self) -> Result<(), StopReason> {
        loop {
            match guard("reading", || self.blocks.next()) {
                Ok(Some(block)) => send(&self.to, &self.stopped, Ok(block))?,
                Ok(None) => return Ok(()),
                Err(error) => return send(&self.to, &self.stopped, Err(error)),
            }
        }
    }
}

/// Parses blocks and tokenizes their records, a slab a block.
struct TokenizerWorker {
    from: Receiver<Result<Block, SeqError>>,
    slabs: SlabSender,
    parser: Parser,
    tokenizer: Box<dyn Tokenizer>,
    lengths: LengthPolicy,
    /// Threads that tokenize a block; one where letters are only looked up.
    threads: usize,
}

impl TokenizerWorker {
    fn run(mut self) -> Result<(), StopReason> {
        let mut record = Record::default();
        loop {
            let block = match receive(&self.from, self.slabs.stopped(), None)? {
                WaitOutcome::Message(Ok(block)) => block,
                WaitOutcome::Message(Err(error)) => return self.slabs.fail(self.parser.locate(error)),
                WaitOutcome::Late | WaitOutcome::End => return Ok(()),
            };
            let mut slab = self.slabs.slab();
            let result = guard("tokenizing", || self.tokenize(block, &mut record, &mut slab));
            // What is complete is sent on, even if an error came after it.
            self.slabs.send(slab)?;
            if let Err(error) = result {
                return self.slabs.fail(error);
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
