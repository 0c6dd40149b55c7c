//! Where the records of inputs can be divided: ranges of bytes that begin at a record, or blocks of BGZF in
//! which one begins.
//!
//! The reader itself decides where a record begins, so that a range gives the records that it has in the
//! complete file. It runs on a thread of its own and hashes the file; the caller's thread parses and hashes
//! ranges.

mod block_ranges;
mod pieces;

use std::io::Read;
use std::sync::Arc;

use crossbeam_channel::{bounded, unbounded};

use super::blocks::{Block, Blocks};
use super::members::MemberNotes;
use super::ranges::{self, CutInput, RecordRange};
use super::remarks::InputRemark;
use super::source::{Source, Span};
use super::{Parser, ReadLimits, Records};
use crate::error::{Change, InputError, SeqError, ThreadError};
use crate::input::Input;
use crate::record::Record;
use block_ranges::BlockRanges;
use pieces::{Pieces, Tap};

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
/// record of more is a range of its own, and so are the records of a file that cannot be divided: BAM, and
/// what is compressed otherwise than as BGZF (bgzip). A range is in one file. An input without records has
/// none.
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
        text: None,
        line: 1,
        record: cut.records,
        before: 0,
        records: 0,
        weight: 0,
        sha256: String::new(),
    };
    let progress = ranges::progress(inputs, number, state, state.bytes, limits);
    let (to, pieces) = unbounded();
    let tap = |inner| Box::new(Tap::new(inner, to)) as Box<dyn Read + Send>;
    let (notes, members) = unbounded();
    let span = Span { bytes: whole.bytes.clone(), text: None, notes: MemberNotes::new(notes) };
    let input = &inputs[number as usize];
    let source = Source::open_range(input, number, span, Arc::clone(&progress), tap)?;
    let pieces = Pieces::new(pieces);
    let form = match source.codec {
        None => Form::Text(pieces),
        Some("gzip") => Form::Blocks(BlockRanges::new(members, pieces)),
        Some(_) => Form::Whole(pieces),
    };
    let Records { blocks, parser } =
        ranges::records(source, Arc::clone(inputs), &whole, Arc::clone(&progress));
    let mut cutter = RangeCutter { range: whole, most, form };
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

/// How a file can be divided.
enum Form {
    /// At any byte: plain text.
    Text(Pieces),
    /// At any byte of its text, as long as that is in blocks of BGZF.
    Blocks(BlockRanges),
    /// Not at all.
    Whole(Pieces),
}

/// The range that is under way.
struct RangeCutter {
    range: RecordRange,
    most: u64,
    form: Form,
}

impl RangeCutter {
    /// Takes the next record, which may begin a range.
    fn take(&mut self, parser: &Parser, weight: u64, record: &Record, each: &mut impl FnMut(RecordRange)) {
        let is_full = self.range.records > 0 && self.range.weight + weight > self.most;
        let begins = parser.offset();
        match &mut self.form {
            Form::Whole(pieces) => pieces.drop_all(),
            Form::Text(pieces) if parser.is_bam() => pieces.drop_all(),
            Form::Blocks(blocks) if parser.is_bam() => blocks.drop_all(),
            Form::Text(pieces) => {
                if is_full || begins > pieces.at() + HASHED_AT_ONCE {
                    pieces.hash_to(begins);
                }
                if is_full {
                    let next = self.range.next(begins..self.range.bytes.end, record);
                    let mut range = std::mem::replace(&mut self.range, next);
                    range.bytes.end = begins;
                    range.sha256 = pieces.end();
                    each(range);
                }
            }
            Form::Blocks(blocks) => {
                blocks.read_to(begins, &mut self.range, each);
                if is_full && blocks.can_begin(begins) {
                    let next = self.range.next(self.range.bytes.clone(), record);
                    blocks.end_at(begins, std::mem::replace(&mut self.range, next));
                }
            }
        }
        self.range.records += 1;
        self.range.weight += weight;
    }

    /// Ends the last range, of an input with this SHA-256.
    fn end(mut self, sha256: &str, each: &mut impl FnMut(RecordRange)) {
        if self.range.records == 0 {
            return;
        }
        self.range.sha256 = match &mut self.form {
            Form::Blocks(blocks) => blocks.end(&mut self.range, each),
            Form::Text(pieces) if self.range.bytes.start > 0 => {
                pieces.hash_to(self.range.bytes.end);
                Some(pieces.end())
            }
            Form::Text(_) | Form::Whole(_) => None,
        }
        .unwrap_or_else(|| sha256.to_owned());
        each(self.range);
    }
}

impl RecordRange {
    /// Returns the range behind this one, which begins with `record`.
    fn next(&self, bytes: std::ops::Range<u64>, record: &Record) -> RecordRange {
        RecordRange {
            bytes,
            text: None,
            line: record.line,
            record: record.index,
            before: self.before + self.records,
            records: 0,
            weight: 0,
            sha256: String::new(),
            ..*self
        }
    }
}
