//! Where the records of inputs can be divided: ranges of bytes that begin at a record.
//!
//! The reader itself decides where a record begins, so that a range gives the records that it has in the
//! complete file. It runs on a thread of its own and hashes the file; the caller's thread parses and hashes
//! ranges.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use sha2::{Digest, Sha256};

use super::blocks::{Block, Blocks};
use super::checksum::hex;
use super::ranges::{self, CutInput, RecordRange};
use super::remarks::InputRemark;
use super::source::Source;
use super::{Parser, ReadLimits, Records};
use crate::error::{Change, InputError, SeqError, ThreadError};
use crate::input::Input;
use crate::record::Record;

/// Blocks that wait for the parser.
const BLOCKS_AHEAD: usize = 4;
/// Bytes of a range that are hashed at once.
const HASHED_AT_ONCE: u64 = 128 << 10;
/// What the reading thread is called in errors.
const READING: &str = "reading";

/// What was seen of inputs while they were cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The inputs as they were, in their order.
    pub inputs: Vec<CutInput>,
    /// Records of all inputs.
    pub records: u64,
    /// The sum of their weights.
    pub weight: u64,
    /// What was passed over, and which inputs held no record.
    pub remarks: Vec<InputRemark>,
}

/// Reads all `inputs` once and divides their records into ranges of at most `most` in weight, in order. A
/// record of more is a range of its own, and so are the records of a file that cannot be divided: one that is
/// compressed, or BAM. A range is in one file. An input without records has none.
///
/// Every record is parsed and checked; `weigh` is called with each.
///
/// # Errors
///
/// An input that is not a file, what is wrong with a record, and a file that changes meanwhile.
///
/// [`open_range`](super::open_range) has an example.
pub fn cut(
    inputs: &[Input],
    limits: ReadLimits,
    most: u64,
    mut weigh: impl FnMut(&Record) -> u64,
    mut each: impl FnMut(RecordRange),
) -> Result<Cut, SeqError> {
    // A mistyped third name fails before the first is read.
    inputs.iter().try_for_each(|input| ranges::file(input).map(drop))?;
    let shared: Arc<[Input]> = inputs.into();
    let mut cut = Cut::default();
    for number in 0..u32::try_from(inputs.len()).unwrap_or(u32::MAX) {
        one(&shared, number, limits, most, &mut weigh, &mut each, &mut cut)?;
    }
    Ok(cut)
}

/// Cuts one input.
fn one(
    inputs: &Arc<[Input]>,
    number: u32,
    limits: ReadLimits,
    most: u64,
    weigh: &mut impl FnMut(&Record) -> u64,
    each: &mut impl FnMut(RecordRange),
    cut: &mut Cut,
) -> Result<(), SeqError> {
    let (path, state) = ranges::file(&inputs[number as usize])?;
    let whole = RecordRange {
        source: number,
        bytes: 0..state.bytes,
        line: 1,
        record: cut.records,
        before: 0,
        records: 0,
        weight: 0,
        sha256: String::new(),
    };
    let progress = ranges::progress(inputs, number, state, state.bytes, limits);
    let (to, pieces) = unbounded();
    let tap = |inner| Box::new(Tap { inner, to }) as Box<dyn Read + Send>;
    let input = &inputs[number as usize];
    let source = Source::open_range(input, number, whole.bytes.clone(), Arc::clone(&progress), tap)?;
    let is_text = source.codec.is_none();
    let Records { blocks, parser } =
        ranges::records(source, Arc::clone(inputs), &whole, Arc::clone(&progress));
    let mut cutter = RangeCutter { range: whole, most, pieces: Pieces::new(pieces), is_text };
    let mut add = |range: RecordRange| {
        cut.records += range.records;
        cut.weight += range.weight;
        each(range);
    };
    on_two_threads(blocks, parser, |parser, record| cutter.take(parser, weigh(record), record, &mut add))?;
    let Some(checksum) = progress.checksums().pop() else {
        let change = Change::Read { read: progress.bytes(), bytes: state.bytes };
        return Err(InputError::Changed { path: path.to_owned(), change }.into());
    };
    cutter.end(&checksum.sha256, &mut add);
    cut.inputs.push(CutInput { bytes: state.bytes, modified: state.modified, sha256: checksum.sha256 });
    progress.tell(progress.take_ahead());
    cut.remarks.extend(progress.remarks_on(inputs));
    Ok(())
}

/// Reads blocks on another thread, and hands on each record as it is parsed.
fn on_two_threads(
    mut blocks: Blocks,
    mut parser: Parser,
    mut each: impl FnMut(&Parser, &Record),
) -> Result<(), SeqError> {
    let (to, from) = bounded::<Result<Block, SeqError>>(BLOCKS_AHEAD);
    let read = move || {
        while let Some(block) = blocks.next().transpose() {
            let failed = block.is_err();
            // Nothing takes it where the parser has failed.
            if to.send(block).is_err() || failed {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name(READING.to_owned()).spawn(read);
    let thread = thread.map_err(|source| ThreadError::NotStarted { thread: READING, source })?;
    let mut record = Record::default();
    let parse = move || {
        for block in from {
            parser.feed(block.map_err(|error| parser.locate(error))?);
            while parser.read(&mut record)? {
                each(&parser, &record);
            }
            let remarks = parser.take_remarks();
            parser.progress().tell(remarks);
        }
        Ok(())
    };
    // The thread ends with the input, or as the other end of its queue is gone.
    let parsed = parse();
    thread.join().map_err(|panic| ThreadError::panicked(READING, &*panic))?;
    parsed
}

/// The range that is under way.
struct RangeCutter {
    range: RecordRange,
    most: u64,
    pieces: Pieces,
    is_text: bool,
}

impl RangeCutter {
    /// Takes the next record, which may begin a range.
    fn take(&mut self, parser: &Parser, weight: u64, record: &Record, each: &mut impl FnMut(RecordRange)) {
        let is_full = self.range.records > 0 && self.range.weight + weight > self.most;
        if self.is_text && !parser.is_bam() {
            let begins = parser.offset();
            if is_full || begins > self.pieces.at + HASHED_AT_ONCE {
                self.pieces.hash_to(begins);
            }
            if is_full {
                let next = RecordRange {
                    bytes: begins..self.range.bytes.end,
                    line: record.line,
                    record: record.index,
                    before: self.range.before + self.range.records,
                    records: 0,
                    weight: 0,
                    sha256: String::new(),
                    ..self.range
                };
                let mut range = std::mem::replace(&mut self.range, next);
                range.bytes.end = begins;
                range.sha256 = self.pieces.end();
                each(range);
            }
        } else {
            self.pieces.drop_all();
        }
        self.range.records += 1;
        self.range.weight += weight;
    }

    /// Ends the last range, of an input with this SHA-256.
    fn end(mut self, sha256: &str, each: &mut impl FnMut(RecordRange)) {
        if self.range.records == 0 {
            return;
        }
        self.range.sha256 = if self.range.bytes.start == 0 {
            sha256.to_owned()
        } else {
            self.pieces.hash_to(self.range.bytes.end);
            self.pieces.end()
        };
        each(self.range);
    }
}

/// Hands on a copy of what is read.
struct Tap {
    inner: Box<dyn Read + Send>,
    to: Sender<Vec<u8>>,
}

impl Read for Tap {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buf)?;
        if bytes > 0 {
            // Nothing takes it where the parser has failed.
            let _ = self.to.send(buf[..bytes].to_vec());
        }
        Ok(bytes)
    }
}

/// What was read of a file and is not hashed yet.
struct Pieces {
    from: Receiver<Vec<u8>>,
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that are hashed.
    done: usize,
    /// Bytes of the file that are hashed.
    at: u64,
    hasher: Sha256,
}

impl Pieces {
    fn new(from: Receiver<Vec<u8>>) -> Self {
        Pieces { from, waiting: VecDeque::new(), done: 0, at: 0, hasher: Sha256::new() }
    }

    /// Hashes up to this byte of the file, which was read.
    fn hash_to(&mut self, end: u64) {
        while self.at < end {
            let Some(piece) = self.waiting.front() else {
                let Ok(piece) = self.from.try_recv() else { return };
                self.waiting.push_back(piece);
                continue;
            };
            let rest = &piece[self.done..];
            let bytes = rest.len().min(usize::try_from(end - self.at).unwrap_or(usize::MAX));
            self.hasher.update(&rest[..bytes]);
            self.at += bytes as u64;
            self.done += bytes;
            if self.done == piece.len() {
                self.waiting.pop_front();
                self.done = 0;
            }
        }
    }

    /// Returns the SHA-256 of what was hashed since the last call, in hexadecimal digits.
    fn end(&mut self) -> String {
        hex(&self.hasher.finalize_reset())
    }

    /// Drops what waits: ranges of the file are not hashed.
    fn drop_all(&mut self) {
        while self.from.try_recv().is_ok() {}
    }
}
