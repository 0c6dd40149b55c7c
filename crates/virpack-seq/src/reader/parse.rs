//! Blocks of whole records to records, by needletail.

use std::borrow::Cow;
use std::io::Cursor;
use std::sync::Arc;

use memchr::{memchr, memchr_iter};
use needletail::errors::{ParseError, ParseErrorKind};
use needletail::parser::{FastaReader, FastqReader, FastxReader, SequenceRecord};

use super::bam::{Alignments, BamProblem, BamReads};
use super::{Block, Input, ReadProgress};
use crate::error::SeqError;
use crate::record::Record;
use crate::shard::Shard;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Fasta,
    Fastq,
    Bam,
}

impl Format {
    /// Ends a block so that needletail takes its last record: it reports a header at the very end of
    /// FASTA as an error, unless a blank line follows.
    pub(super) fn seal(self, bytes: &mut Vec<u8>) {
        if self == Format::Fasta {
            if !bytes.ends_with(b"\n") {
                bytes.push(b'\n');
            }
            bytes.push(b'\n');
        }
    }
}

/// A block that is being read.
enum Reading {
    Text(Box<dyn FastxReader>),
    Bam(BamReads),
}

/// Turns blocks into records and counts them.
pub(crate) struct Parser {
    inputs: Arc<[Input]>,
    progress: Arc<ReadProgress>,
    reader: Option<Reading>,
    format: Format,
    source: u32,
    /// The line of the block's first byte.
    line: u64,
    /// The line of the block's last byte, in FASTQ.
    last_line: u64,
    /// Number of the next record over all inputs, from 0.
    index: u64,
    /// Records of this input so far.
    records: u64,
    failed: bool,
    /// Which records come out; the others are only counted.
    shard: Shard,
}

impl Parser {
    pub(super) fn new(inputs: Arc<[Input]>, progress: Arc<ReadProgress>) -> Self {
        Parser {
            inputs,
            progress,
            reader: None,
            format: Format::Fasta,
            source: 0,
            line: 1,
            last_line: 1,
            index: 0,
            records: 0,
            failed: false,
            shard: Shard::ALL,
        }
    }

    /// From here on only the records of a shard come out.
    pub(super) fn take_shard(&mut self, shard: Shard) {
        self.shard = shard;
    }

    pub(crate) fn progress(&self) -> &Arc<ReadProgress> {
        &self.progress
    }

    pub(crate) fn inputs(&self) -> &Arc<[Input]> {
        &self.inputs
    }

    /// Whether `read` gave an error: nothing comes after it.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes the next block, once `read` has said `false`.
    pub(crate) fn feed(&mut self, block: Block) {
        if block.source != self.source {
            self.records = 0;
        }
        self.source = block.source;
        self.line = block.line;
        if block.format == Format::Fastq {
            let before_last = block.bytes.split_last().map_or(&[][..], |(_, before)| before);
            self.last_line = self.line + memchr_iter(b'\n', before_last).count() as u64;
        }
        self.format = block.format;
        // One byte more than the block, or needletail would look for room to read on.
        let capacity = block.bytes.len() + 3;
        let bytes = Cursor::new(block.bytes);
        self.reader = Some(match block.format {
            Format::Fasta => Reading::Text(Box::new(FastaReader::with_capacity(bytes, capacity))),
            Format::Fastq => Reading::Text(Box::new(FastqReader::with_capacity(bytes, capacity))),
            Format::Bam => Reading::Bam(BamReads::new(bytes.into_inner(), self.line)),
        });
    }

    /// Fills `record` with the next record; `false` at the end of the block, and for ever after an error.
    pub(crate) fn read(&mut self, record: &mut Record) -> Result<bool, SeqError> {
        while self.read_any(record)? {
            if self.shard.contains(record.index) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As [`Parser::read`], of all shards.
    fn read_any(&mut self, record: &mut Record) -> Result<bool, SeqError> {
        let Some(reader) = &mut self.reader else { return Ok(false) };
        let result = match reader {
            Reading::Bam(reads) => reads.read(record).map_err(Fault::Bam),
            Reading::Text(reader) => match reader.next() {
                Some(Ok(parsed)) => {
                    record.line = self.line + parsed.start_line_number() - 1;
                    fill(record, &parsed).map(|()| true)
                }
                Some(Err(error)) => Err(self.failure(error)),
                None => Ok(false),
            },
        };
        if let Ok(false) = result {
            self.end();
            return Ok(false);
        }
        if let Err(fault) = result {
            self.reader = None;
            self.failed = true;
            return Err(self.describe(fault, record.line));
        }
        record.index = self.index;
        record.source = self.source;
        self.index += 1;
        self.records += 1;
        self.progress.add_record();
        Ok(true)
    }

    /// Leaves a block that is read, and tells what was seen in it.
    fn end(&mut self) {
        if let Some(Reading::Bam(reads)) = self.reader.take()
            && !reads.seen.is_nothing()
        {
            self.progress.add_alignments(&Alignments { source: self.source, ..reads.seen });
        }
    }

    /// Puts the number of records before it into an error that the reading side found.
    pub(crate) fn locate(&self, mut error: SeqError) -> SeqError {
        if let SeqError::Damaged { records, path, .. }
        | SeqError::Read { records, path, .. }
        | SeqError::BamTruncated { records, path, .. } = &mut error
            && self.inputs.get(self.source as usize).is_some_and(|input| input.path() == path)
        {
            *records = self.records;
        }
        error
    }

    fn failure(&self, error: ParseError) -> Fault {
        let line = self.line + error.position.line.max(1) - 1;
        match error.kind {
            ParseErrorKind::UnequalLengths => Fault::Quality(line, error),
            ParseErrorKind::InvalidSeparator => Fault::Line(line, '+'),
            ParseErrorKind::UnexpectedEnd => Fault::End(line.min(self.last_line)),
            _ => Fault::Line(line, if self.format == Format::Fasta { '>' } else { '@' }),
        }
    }

    fn describe(&self, fault: Fault, header: u64) -> SeqError {
        let path = self.inputs[self.source as usize].path().into();
        let record = self.records + 1;
        match fault {
            Fault::Bam(problem) => SeqError::Bam { path, record: header, problem },
            Fault::Binary => SeqError::Binary { path, line: header, record },
            Fault::Returns => SeqError::CarriageReturns { path, line: header, record },
            Fault::Line(line, expected) => SeqError::FastqLine { path, line, record, expected },
            Fault::End(line) => SeqError::FastqTruncated { path, line, record },
            Fault::Quality(line, error) => {
                let (sequence, quality) = lengths(&error.msg);
                let id = error.position.id.unwrap_or_default();
                SeqError::QualityLength { path, line, record, id, sequence, quality }
            }
        }
    }
}

/// What is wrong with a record, and in which line.
enum Fault {
    Bam(BamProblem),
    Binary,
    Returns,
    Line(u64, char),
    End(u64),
    Quality(u64, ParseError),
}

/// needletail gives the two lengths of "Sequence length is 4 but quality length is 2" only as text.
fn lengths(message: &str) -> (usize, usize) {
    let mut numbers = message.split_whitespace().filter_map(|word| word.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Copies what needletail found into `record`.
fn fill(record: &mut Record, parsed: &SequenceRecord<'_>) -> Result<(), Fault> {
    let header = parsed.id().trim_ascii();
    let end = header.iter().position(|&b| matches!(b, b' ' | b'\t')).unwrap_or(header.len());
    record.id = text(&header[..end]).into();
    record.description.clear();
    record.description.push_str(&text(header[end..].trim_ascii_start()));
    record.sequence.clear();
    copy_letters(parsed.raw_seq(), &mut record.sequence)?;
    // All of the file in a header.
    if record.sequence.is_empty() && memchr(b'\r', header).is_some() { Err(Fault::Returns) } else { Ok(()) }
}

/// A header's text. The check comes first because `from_utf8_lossy` goes byte by byte even over ASCII.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Appends the letters of `text` without line ends and blanks; a NUL byte is a fault.
fn copy_letters(text: &[u8], letters: &mut Vec<u8>) -> Result<(), Fault> {
    // The common case, a sequence in one line, costs one pass.
    if !has_blanks(text) {
        letters.extend_from_slice(text);
        return Ok(());
    }
    letters.reserve(text.len());
    let mut start = 0;
    for end in memchr_iter(b'\n', text).chain([text.len()]) {
        let line = &text[start..end];
        letters.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        start = end + 1;
    }
    if has_blanks(letters) {
        letters.retain(|letter| !letter.is_ascii_whitespace());
        if letters.contains(&0) {
            return Err(Fault::Binary);
        }
    }
    Ok(())
}

/// Whether a byte is a blank or below; without an early end, so that it becomes vector code.
fn has_blanks(text: &[u8]) -> bool {
    text.iter().fold(u8::MAX, |least, &byte| least.min(byte)) <= b' '
}
