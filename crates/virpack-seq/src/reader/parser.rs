//! Parses blocks of complete records, by needletail.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::Cursor;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memchr2, memrchr};
use needletail::parser::{FastaReader, FastqReader, FastxReader};

use super::bam::BamReads;
use super::blocks::Content;
use super::fastq::{self, FastqFault, ScanResult};
use super::lines::{self, Comments, Stray, looks_like_sequence};
use super::memory::MemoryReader;
use super::remarks::Remark;
use super::suspect::suspect;
use super::unique_ids::UniqueIds;
use super::{Block, ReadProgress};
use crate::error::{BamProblem, Change, InputError, SeqError, Suspect};
use crate::input::Input;
use crate::record::Record;
use crate::shard::Shard;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// FASTA records.
    Fasta,
    /// FASTQ records of four plain lines each.
    Fastq,
    /// FASTQ records of which the first is wrapped, faulty, or the last one; a faulty one is the
    /// last of its block.
    FastqOdd,
    /// Records of BAM, each behind its length.
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
enum BlockReader {
    /// FASTA, or FASTQ of four lines a record.
    Text(Box<dyn FastxReader>),
    /// The text of odd FASTQ records, with the place and the line of the next one.
    Odd {
        text: Vec<u8>,
        at: usize,
        line: u64,
    },
    Bam(BamReads),
    Memory(MemoryReader),
}

/// Turns blocks into records and counts them.
pub(crate) struct Parser {
    inputs: Arc<[Input]>,
    progress: Arc<ReadProgress>,
    reader: Option<BlockReader>,
    format: Format,
    source: u32,
    /// The line of the block's first byte.
    line: u64,
    /// Bytes of the input before the block, and before the last record; of text, decompressed.
    block_offset: u64,
    offset: u64,
    /// Number of the next record over all inputs, from 0.
    index: u64,
    /// Records of this input so far.
    records: u64,
    failed: bool,
    /// Which records come out; the others are only counted.
    shard: Shard,
    /// None: ids stay as they are.
    unique_ids: Option<UniqueIds>,
    /// Remarks on what was read, not yet reported.
    remarks: Vec<(u32, Remark)>,
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
            block_offset: 0,
            offset: 0,
            index: 0,
            records: 0,
            failed: false,
            shard: Shard::ALL,
            unique_ids: None,
            remarks: Vec::new(),
        }
    }

    /// From here on a record whose id came before gets a number behind it.
    pub(super) fn make_ids_unique(&mut self) {
        self.unique_ids = Some(UniqueIds::default());
    }

    /// Returns whether what comes of a record depends on those before it, so that one parser must read them
    /// all.
    pub(crate) fn is_sequential(&self) -> bool {
        self.shard != Shard::ALL || self.unique_ids.is_some()
    }

    /// Returns a parser of blocks of the same inputs, which counts from here on for itself. The ids that
    /// must be unique go with it.
    pub(crate) fn fork(&mut self) -> Parser {
        let mut parser = Parser::new(Arc::clone(&self.inputs), Arc::clone(&self.progress));
        parser.begin_at(self.source, self.records, self.index);
        (parser.shard, parser.unique_ids) = (self.shard, self.unique_ids.take());
        parser
    }

    /// Returns the number of the next record over all inputs, and of its input, from 0.
    pub(crate) fn counts(&self) -> [u64; 2] {
        [self.index, self.records]
    }

    /// Counts the records of a block that another parser has read; gives the numbers of the first, as
    /// [`Parser::counts`].
    pub(crate) fn pass(&mut self, source: u32, records: u64) -> [u64; 2] {
        if source != self.source {
            (self.source, self.records) = (source, 0);
        }
        let counts = self.counts();
        self.index += records;
        self.records += records;
        counts
    }

    /// From here on only the records of a shard come out.
    pub(super) fn take_shard(&mut self, shard: Shard) {
        self.shard = shard;
    }

    /// From here on records are those of input `source`, of which `before` came before the next one, number
    /// `index` over all inputs.
    pub(super) fn begin_at(&mut self, source: u32, before: u64, index: u64) {
        (self.source, self.records, self.index) = (source, before, index);
    }

    /// Returns the number of the next record over all inputs, from 0.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    /// Returns whether the block is of BAM.
    pub(super) fn is_bam(&self) -> bool {
        self.format == Format::Bam
    }

    /// Bytes of its input before the last record, of text, decompressed.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn progress(&self) -> &Arc<ReadProgress> {
        &self.progress
    }

    pub(crate) fn inputs(&self) -> &Arc<[Input]> {
        &self.inputs
    }

    /// Returns whether `read` gave an error: nothing comes after it.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes the next block, once `read` has returned `false`.
    pub(crate) fn feed(&mut self, block: Block) {
        if block.source != self.source {
            self.records = 0;
        }
        self.source = block.source;
        self.line = block.line;
        self.block_offset = block.offset;
        let (bytes, format) = match block.content {
            Content::Bytes(bytes, format) => (bytes, format),
            Content::Records(records) => {
                self.reader = Some(BlockReader::Memory(MemoryReader::new(records, self.line)));
                return;
            }
        };
        self.format = format;
        // One byte more than the block, or needletail would look for room to read on.
        let capacity = bytes.len() + 3;
        let bytes = Cursor::new(bytes);
        self.reader = Some(match format {
            Format::Fasta => BlockReader::Text(Box::new(FastaReader::with_capacity(bytes, capacity))),
            Format::Fastq => BlockReader::Text(Box::new(FastqReader::with_capacity(bytes, capacity))),
            Format::FastqOdd => BlockReader::Odd { text: bytes.into_inner(), at: 0, line: self.line },
            Format::Bam => BlockReader::Bam(BamReads::new(bytes.into_inner(), self.line)),
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
    fn read_any(&mut self, record: &mut Record) -> Result<bool, InputError> {
        let limit = self.progress.limits.header;
        let result = match &mut self.reader {
            None => return Ok(false),
            Some(BlockReader::Odd { text, at, .. }) if *at == text.len() => Ok(None),
            Some(BlockReader::Odd { text, at, line }) => {
                record.line = *line;
                self.offset = self.block_offset + *at as u64;
                fill_odd(record, &text[*at..], limit).map(|(end, is_utf8)| {
                    *line += memchr_iter(b'\n', &text[*at..*at + end]).count() as u64;
                    *at += end;
                    Some((Comments::default(), is_utf8))
                })
            }
            Some(BlockReader::Bam(reads)) => match reads.read(record) {
                Ok(true) => Ok(Some((Comments::default(), true))),
                Ok(false) => Ok(None),
                Err(problem) => Err(Fault::Bam(problem)),
            },
            Some(BlockReader::Memory(records)) => match records.read(record) {
                // Of letters in memory the place is the record's number.
                Some(letters) => {
                    fill_from_memory(record, &letters).map(|()| Some((Comments::default(), true)))
                }
                None => Ok(None),
            },
            Some(BlockReader::Text(reader)) => match reader.next() {
                Some(Ok(parsed)) => {
                    record.line = self.line + parsed.start_line_number() - 1;
                    self.offset = self.block_offset + parsed.position().byte();
                    let format = self.format;
                    fill_header(record, parsed.id(), limit)
                        .and_then(|is_utf8| Ok((fill(record, format, parsed.raw_seq())?, is_utf8)))
                        .map(Some)
                }
                // Blocks are cut so that this cannot be.
                Some(Err(error)) => Err(Fault::Line(error.position.line.max(1) - 1, '>', None)),
                None => Ok(None),
            },
        };
        match result {
            Ok(None) => {
                self.end();
                return Ok(false);
            }
            Ok(Some((comments, is_utf8))) => {
                if comments.lines > 0 {
                    let line = record.line + 1 + comments.first;
                    self.remarks.push((self.source, Remark::Comments { line, lines: comments.lines }));
                }
                if !is_utf8 {
                    self.remarks.push((self.source, Remark::NotUtf8 { line: record.line, headers: 1 }));
                }
            }
            Err(fault) => {
                self.reader = None;
                self.failed = true;
                return Err(match self.progress.states.change(self.source) {
                    Some(change) => self.changed(change),
                    None => self.describe(fault, record),
                });
            }
        }
        if let Some(id) = self.unique_ids.as_mut().and_then(|ids| ids.number(&record.id)) {
            record.id = id;
            self.remarks.push((self.source, Remark::NumberedIds { records: 1 }));
        }
        record.index = self.index;
        record.source = self.source;
        self.index += 1;
        self.records += 1;
        self.progress.add_record();
        Ok(true)
    }

    /// Returns the remarks on what was read since the last call: who reads in order tells them.
    pub(crate) fn take_remarks(&mut self) -> Vec<(u32, Remark)> {
        std::mem::take(&mut self.remarks)
    }

    /// Leaves a block that is read, and notes what was found in it.
    fn end(&mut self) {
        if let Some(BlockReader::Bam(reads)) = self.reader.take()
            && !reads.seen.is_nothing()
        {
            self.remarks.push((self.source, Remark::Alignments(reads.seen)));
        }
    }

    /// Puts the number of records before it into an error that the reading side found.
    pub(crate) fn locate(&self, mut error: SeqError) -> SeqError {
        if let SeqError::Input(error) = &mut error
            && let InputError::Damaged { records, path, .. }
            | InputError::Read { records, path, .. }
            | InputError::RecordTooLarge { records, path, .. }
            | InputError::HeaderTooLong { records, path, .. }
            | InputError::BamTruncated { records, path, .. } = error
            && self.inputs.get(self.source as usize).is_some_and(|input| input.path() == path)
        {
            *records = self.records;
        }
        error
    }

    fn changed(&self, change: Change) -> InputError {
        InputError::Changed { path: self.inputs[self.source as usize].path().into(), change }
    }

    fn describe(&self, fault: Fault, of: &Record) -> InputError {
        let path = self.inputs[self.source as usize].path().into();
        let (record, header, id) = (self.records + 1, of.line, of.id.clone());
        match fault {
            Fault::Bam(problem) => InputError::Bam { path, record: header, problem },
            Fault::Binary => InputError::Binary { path, line: header, record },
            Fault::Header => {
                let limit = self.progress.limits.header;
                InputError::HeaderTooLong { path, line: header, records: self.records, limit }
            }
            Fault::Returns => InputError::CarriageReturns { path, line: header, record },
            Fault::Line(line, expected, found) => {
                InputError::FastqLine { path, line: header + line, record, expected, found }
            }
            Fault::Ends(line) => InputError::FastqTruncated { path, line: header + line, record },
            Fault::Quality { letters, values } => InputError::QualityLength {
                path,
                line: header,
                record,
                id,
                sequence: letters,
                quality: values,
            },
            Fault::Stray { line, byte, suspect } => {
                InputError::StrayByte { path, line: header + line, record, id, byte, suspect }
            }
        }
    }
}

/// What is wrong with a record; lines count from 0 for its header.
enum Fault {
    Bam(BamProblem),
    Binary,
    Header,
    Returns,
    /// A line begins with another byte than this.
    Line(u64, char, Option<u8>),
    Ends(u64),
    Quality {
        letters: usize,
        values: usize,
    },
    Stray {
        line: u64,
        byte: u8,
        suspect: Suspect,
    },
}

impl Fault {
    /// Returns the fault of letters in memory: its place is that of the record, whichever line has it.
    fn in_memory(self) -> Fault {
        match self {
            Fault::Stray { byte: byte @ b'>', .. } => {
                Fault::Stray { line: 0, byte, suspect: Suspect::TextOfFile }
            }
            Fault::Stray { byte, suspect, .. } => Fault::Stray { line: 0, byte, suspect },
            other => other,
        }
    }
}

/// Puts a header of at most `limit` bytes, without its first byte, into `record`, and returns whether it is
/// UTF-8.
fn fill_header(record: &mut Record, header: &[u8], limit: u64) -> Result<bool, Fault> {
    let header = header.strip_suffix(b"\r").unwrap_or(header);
    if header.len() as u64 > limit {
        return Err(Fault::Header);
    }
    let header = header.trim_ascii();
    let text = text(header);
    let (id, description) = text.split_at(memchr2(b' ', b'\t', text.as_bytes()).unwrap_or(text.len()));
    record.id = id.into();
    record.description.clear();
    record.description.push_str(description.trim_ascii_start());
    let is_utf8 = matches!(text, Cow::Borrowed(_));
    if memchr2(b'\r', 0, header).is_none() {
        return Ok(is_utf8);
    }
    // Records that end their lines with carriage returns alone are in what looks like a header.
    let hides_a_line = |line: &[u8]| line.starts_with(b">") || looks_like_sequence(line.trim_ascii());
    match header.contains(&0) {
        true => Err(Fault::Binary),
        false if header.split(|&b| b == b'\r').skip(1).any(hides_a_line) => Err(Fault::Returns),
        false => Ok(is_utf8),
    }
}

/// Puts the letters of `lines`, which follow a record's header, into `record`; reports its comment lines.
fn fill(record: &mut Record, format: Format, lines: &[u8]) -> Result<Comments, Fault> {
    record.sequence.clear();
    let result = match format {
        Format::Fasta => lines::copy_lines(lines, &mut record.sequence),
        Format::Fastq | Format::FastqOdd | Format::Bam => {
            lines::copy_line(lines, &mut record.sequence).map(|()| Comments::default())
        }
    };
    result.map_err(|Stray { offset }| {
        if lines.contains(&0) {
            return Fault::Binary;
        }
        let begin = memrchr(b'\n', &lines[..offset]).map_or(0, |end| end + 1);
        let line = 1 + memchr_iter(b'\n', &lines[..offset]).count() as u64;
        stray(&lines[begin..], offset - begin, line)
    })
}

/// Puts the letters of a record in memory into `record`. A comment among them is the text of a file.
fn fill_from_memory(record: &mut Record, letters: &[u8]) -> Result<(), Fault> {
    match fill(record, Format::Fasta, letters).map_err(Fault::in_memory)? {
        Comments { lines: 0, .. } => Ok(()),
        _ => Err(Fault::Stray { line: 0, byte: b';', suspect: Suspect::TextOfFile }),
    }
}

/// Puts the odd FASTQ record that `text` begins with into `record`; gives its bytes, and whether its header
/// is UTF-8.
fn fill_odd(record: &mut Record, text: &[u8], limit: u64) -> Result<(usize, bool), Fault> {
    match fastq::scan(text, true, &mut record.sequence) {
        ScanResult::Record { header, end } => {
            fill_header(record, &text[header], limit).map(|is_utf8| (end, is_utf8))
        }
        ScanResult::More => Err(Fault::Ends(0)),
        ScanResult::Fault { line, fault, .. } => {
            if let [b'@', header @ ..] = text {
                fill_header(record, &header[..memchr(b'\n', header).unwrap_or(header.len())], limit)?;
            }
            Err(match fault {
                _ if text.contains(&0) => Fault::Binary,
                FastqFault::Ends => Fault::Ends(line),
                FastqFault::Quality { letters, values } => Fault::Quality { letters, values },
                FastqFault::Stray { offset, line: begin } => stray(&text[begin..], offset - begin, line),
                FastqFault::Expected(expected) => {
                    let begin =
                        (0..line).fold(0, |at, _| at + memchr(b'\n', &text[at..]).map_or(0, |end| end + 1));
                    Fault::Line(line, expected, text.get(begin).copied())
                }
            })
        }
    }
}

/// Returns the fault of the byte at `place` of the line that `text` begins with; `line` is that line's
/// number.
fn stray(text: &[u8], place: usize, line: u64) -> Fault {
    let text = &text[..memchr(b'\n', text).unwrap_or(text.len())];
    Fault::Stray { line, byte: text[place], suspect: suspect(text, place) }
}

/// Returns a header's text. Each byte that is not UTF-8 becomes `\xe9`, with two hexadecimal digits, so that
/// different ids stay different.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| escaped_bytes(bytes).into(), Cow::Borrowed)
}

fn escaped_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| _ = write!(text, "\\x{byte:02x}"));
    }
    text
}
