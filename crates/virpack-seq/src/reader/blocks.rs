//! Cuts inputs into blocks of complete records, so that parsing can run on another thread and a record is
//! handed on as soon as it is known to be complete.

mod range;
mod size;

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr_iter};

use super::ReadProgress;
use super::fastq::{self, ScanResult};
use super::gzip::Trailing;
use super::memory::MemoryBlocks;
use super::parser::Format;
use super::remarks::Remark;
use super::source::{DECODER_MEMORY, Source, needs_memory};
use super::{bam, foreign};
use crate::error::{BamProblem, Change, ForeignFormat, InputError, SeqError};
use crate::input::Input;
use crate::record::Record;

/// Bytes of a block, if its records allow: small enough to stay in a core's own cache on its way.
pub(super) const BLOCK_SIZE: usize = 256 << 10;

/// The mark that some editors put before UTF-8 text.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The most bytes of a line that an error shows.
const SHOWN: usize = 40;

/// Most bytes of a comment before the first record.
const LONGEST_COMMENT: usize = 64 << 10;

/// Whole records of one input.
pub(crate) struct Block {
    pub(super) content: Content,
    /// Which input it comes from, from 0.
    pub(crate) source: u32,
    /// The line of the first byte in that input, from 1; of BAM, and of records in memory, the record's
    /// number.
    pub(crate) line: u64,
    /// Of text, the bytes before it in that input, decompressed.
    pub(super) offset: u64,
}

/// What a block holds.
pub(super) enum Content {
    /// Text, or records of BAM. FASTA ends with a blank line, see [`Format::seal`].
    Bytes(Vec<u8>, Format),
    /// Records that were in memory.
    Records(Vec<Record>),
}

/// The blocks of all inputs, in order.
pub(crate) struct Blocks {
    inputs: Arc<[Input]>,
    progress: Arc<ReadProgress>,
    next: usize,
    cutter: Option<Cutter>,
    /// Records that are in memory, instead of inputs.
    memory: Option<MemoryBlocks>,
}

impl Blocks {
    pub(super) fn new(inputs: Arc<[Input]>, progress: Arc<ReadProgress>) -> Self {
        Blocks { inputs, progress, next: 0, cutter: None, memory: None }
    }

    /// Returns the blocks of records that are in memory.
    pub(super) fn in_memory(
        records: MemoryBlocks,
        inputs: Arc<[Input]>,
        progress: Arc<ReadProgress>,
    ) -> Self {
        Blocks { memory: Some(records), ..Blocks::new(inputs, progress) }
    }

    /// Returns the blocks of the one input that `source` reads.
    pub(super) fn of(source: Source, inputs: Arc<[Input]>, progress: Arc<ReadProgress>) -> Self {
        let cutter = inputs.first().map(|input| Cutter::new(source, input.clone(), 0, Arc::clone(&progress)));
        Blocks { next: 1, cutter, ..Blocks::new(inputs, progress) }
    }

    /// Returns the next block; `None` at the end of the last input and after an error.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, SeqError> {
        if let Some(memory) = &mut self.memory {
            return Ok(memory.next(&self.progress));
        }
        loop {
            if self.cutter.is_none() {
                let Some(input) = self.inputs.get(self.next) else { return Ok(None) };
                let number = self.next as u32;
                self.next += 1;
                let progress = Arc::clone(&self.progress);
                let source = Source::open(input, number, Arc::clone(&progress))
                    .inspect_err(|_| self.next = self.inputs.len())?;
                self.cutter = Some(Cutter::new(source, input.clone(), number, progress));
            }
            let Some(cutter) = &mut self.cutter else { return Ok(None) };
            match cutter.next() {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => self.cutter = None,
                Err(error) => {
                    self.cutter = None;
                    self.next = self.inputs.len();
                    return Err(error.into());
                }
            }
        }
    }
}

/// Cuts one input.
struct Cutter {
    input: Input,
    source: Source,
    number: u32,
    progress: Arc<ReadProgress>,
    /// Text read and not yet handed on; it begins at a record, once the format is known.
    text: Vec<u8>,
    /// Bytes of `text` already searched for the end of a record.
    searched: usize,
    /// End of the last complete record found in `text`.
    whole: usize,
    /// Lines since the beginning of the FASTQ record that the search is in.
    phase: u8,
    /// Bytes of that record's sequence line.
    letters: usize,
    /// Whether the FASTQ record behind `whole` is not four plain lines.
    odd: bool,
    format: Option<Format>,
    /// The line of the first byte of `text`.
    line: u64,
    /// Bytes of the input before `text`, decompressed.
    offset: u64,
    inside: bool,
    ended: bool,
    error: Option<std::io::Error>,
    /// Bytes of all files that were read before the first of `text` was.
    begun: u64,
}

impl Cutter {
    fn new(source: Source, input: Input, number: u32, progress: Arc<ReadProgress>) -> Self {
        Cutter {
            begun: source.begun,
            source,
            input,
            number,
            progress,
            text: Vec::with_capacity(BLOCK_SIZE),
            searched: 0,
            whole: 0,
            phase: 0,
            letters: 0,
            odd: false,
            format: None,
            line: 1,
            offset: 0,
            inside: false,
            ended: false,
            error: None,
        }
    }

    fn next(&mut self) -> Result<Option<Block>, InputError> {
        loop {
            if self.format.is_none() {
                self.find_format()?;
            }
            match self.format {
                Some(format) => {
                    self.search(format)?;
                    if self.whole > 0 && !self.first_is_too_large(format) {
                        return Ok(Some(self.cut(format, self.whole)));
                    }
                    if self.ended && self.error.is_none() && format == Format::Bam {
                        return self.end_bam();
                    }
                    if let Some(block) = self.last_or_odd(format) {
                        return Ok(Some(block));
                    }
                }
                None if self.ended && self.error.is_none() => {
                    self.progress.remark_ahead(self.number, Remark::Empty)
                }
                None => {}
            }
            if let Some(source) = self.error.take() {
                return Err(self.failed(source));
            }
            if self.ended {
                return Ok(None);
            }
            self.check_size()?;
            self.fill();
        }
    }

    /// Reads more text. An error waits until the complete records before it are handed on.
    fn fill(&mut self) {
        let held = self.text.len();
        // A record longer than a block doubles it, so that the work stays linear.
        let wanted = BLOCK_SIZE.saturating_sub(held).max(held).max(BLOCK_SIZE / 4);
        // A byte more than a record may have, so that one with as many ends before it.
        let room = self.largest_record().saturating_add(1).saturating_sub(held as u64);
        let wanted = wanted.min(usize::try_from(room).unwrap_or(usize::MAX));
        let result = if self.source.is_pipe {
            // What a pipe holds is taken at once: waiting for a full block would hold records back.
            self.text.resize(held + wanted.min(BLOCK_SIZE), 0);
            let result = loop {
                match self.source.read(&mut self.text[held..]) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    result => break result,
                }
            };
            self.text.truncate(held + *result.as_ref().unwrap_or(&0));
            result
        } else {
            self.source.by_ref().take(wanted as u64).read_to_end(&mut self.text)
        };
        match result {
            Ok(0) => {
                self.ended = true;
                let is_bam = self.format == Some(Format::Bam) || self.text.starts_with(bam::MAGIC);
                match self.source.change_at_end() {
                    // What seems to be the last record may be a part of it.
                    Some(change) => self.error = Some(std::io::Error::other(change)),
                    // BAM has an error of its own.
                    None if !is_bam && !self.source.has_its_end() => {
                        let problem = "the empty block is missing that ends every BGZF file (bgzip)";
                        self.error = Some(std::io::Error::new(ErrorKind::UnexpectedEof, problem));
                    }
                    None => self.drop_end_mark(),
                }
                if self.source.missed_an_end() {
                    self.progress.remark_ahead(self.number, Remark::NoBgzfEnd);
                }
            }
            Ok(_) => {}
            Err(error) => {
                self.ended = true;
                self.error = Some(error);
            }
        }
    }

    /// Drops the mark (Ctrl-Z) that programs of DOS put behind a text.
    fn drop_end_mark(&mut self) {
        if self.source.ends_inside || self.format == Some(Format::Bam) || self.text.starts_with(bam::MAGIC) {
            return;
        }
        if let [text @ .., 0x1A] = self.text.trim_ascii_end() {
            let (end, lines) = (text.len(), memchr_iter(b'\n', text).count() as u64);
            self.text.truncate(end);
            self.searched = self.searched.min(end);
            self.progress.remark_ahead(self.number, Remark::EndMark { line: self.line + lines });
        }
    }

    /// Skips blank lines and comments before the first record and reads the format off its first byte.
    fn find_format(&mut self) -> Result<(), InputError> {
        if self.inside && self.find_format_inside() {
            return Ok(());
        }
        // A pipe may give a byte order mark, or the line that the error shows, in pieces.
        if !self.ended && self.text.len() < BOM.len() && BOM.starts_with(&self.text) {
            return Ok(());
        }
        let bom = if self.line == 1 && self.text.starts_with(BOM) { BOM.len() } else { 0 };
        let blank = self.text[bom..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.skip(bom + blank);
        let line = |text: &[u8], ended: bool| memchr(b'\n', text).or(ended.then_some(text.len()));
        while let (Some(b';'), Some(length)) = (self.text.first(), line(&self.text, self.ended)) {
            self.progress.remark_ahead(self.number, Remark::Comments { line: self.line, lines: 1 });
            let blank = self.text[length..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.skip(length + blank);
        }
        if let Some(format) = foreign::disguised(&self.text)
            && (self.ended || self.text.len() >= foreign::needed(&self.text))
        {
            return Err(self.foreign(format));
        }
        self.format = match self.text.first() {
            None => None,
            Some(_) if !self.ended && self.text.len() < foreign::needed(&self.text) => None,
            Some(b'>') => Some(Format::Fasta),
            Some(b'@') => Some(Format::Fastq),
            Some(_) if self.text.starts_with(bam::MAGIC) => self.skip_bam_header()?,
            // A comment whose end is still to come, or a mark that may be all there is.
            Some(b';' | 0x1A) if !self.ended && self.text.len() < LONGEST_COMMENT => None,
            // A failed read is reported as such: so few bytes may be the beginning of anything.
            Some(_) if (!self.ended || self.error.is_some()) && self.text.len() < foreign::ENOUGH => None,
            Some(_) => return Err(self.not_sequences()),
        };
        Ok(())
    }

    /// Drops the header of BAM, once all of it is there.
    fn skip_bam_header(&mut self) -> Result<Option<Format>, InputError> {
        let header = bam::header(&self.text).map_err(|problem| self.bad_bam(problem))?;
        let Some(header) = header else {
            if self.ended && self.error.is_none() {
                return Err(self.bam_truncated());
            }
            return Ok(None);
        };
        self.text.drain(..header);
        self.searched = 0;
        self.line = 1;
        Ok(Some(Format::Bam))
    }

    /// Checks that a BAM file ends where its last record does, and with the block that ends every one.
    fn end_bam(&mut self) -> Result<Option<Block>, InputError> {
        if !self.text.is_empty() || !self.source.has_its_end() {
            return Err(self.bam_truncated());
        }
        if self.line == 1 {
            self.progress.remark_ahead(self.number, Remark::Empty);
        }
        Ok(None)
    }

    fn bam_truncated(&self) -> InputError {
        InputError::BamTruncated { path: self.input.path().into(), line: self.line, records: 0 }
    }

    fn bad_bam(&self, problem: BamProblem) -> InputError {
        InputError::Bam { path: self.input.path().into(), record: self.line, problem }
    }

    fn foreign(&self, format: ForeignFormat) -> InputError {
        InputError::Foreign { path: self.input.path().into(), format, codec: self.source.codec }
    }

    fn not_sequences(&self) -> InputError {
        if let Some(format) = foreign::identify(&self.text) {
            return self.foreign(format);
        }
        let path = self.input.path().into();
        let line = &self.text[..memchr(b'\n', &self.text).unwrap_or(self.text.len()).min(SHOWN)];
        let found = String::from_utf8_lossy(line).trim_end().to_owned();
        InputError::NotSequences { path, line: self.line, found }
    }

    /// Finds the end of the last complete record in what is newly read.
    fn search(&mut self, format: Format) -> Result<(), InputError> {
        match format {
            Format::Fasta => {
                // The first byte is this record's own `>`.
                let from = self.searched.max(1);
                if let Some(i) = self
                    .text
                    .get(from..)
                    .and_then(|new| memrchr_iter(b'>', new).find(|&i| self.text[from + i - 1] == b'\n'))
                {
                    self.whole = from + i;
                }
                self.searched = self.text.len();
            }
            Format::Fastq | Format::FastqOdd => self.search_fastq(),
            Format::Bam => return self.search_bam(),
        }
        Ok(())
    }

    /// Steps from record to record of BAM; an error waits until those before it are handed on.
    fn search_bam(&mut self) -> Result<(), InputError> {
        while self.searched < self.text.len() {
            match bam::record_size(&self.text[self.searched..]) {
                Ok(Some(size)) if self.searched + size <= self.text.len() => self.searched += size,
                Ok(_) => break,
                Err(_) if self.searched > 0 => break,
                Err(problem) => return Err(self.bad_bam(problem)),
            }
        }
        self.whole = self.searched;
        Ok(())
    }

    /// Counts the lines of FASTQ records; blank lines between two records end a block and are left
    /// out. A record that is not four plain lines ends the search.
    fn search_fastq(&mut self) {
        while !self.odd
            && let Some(length) = memchr(b'\n', &self.text[self.searched..])
        {
            let line = &self.text[self.searched..self.searched + length];
            let line = fastq::without_return(line);
            if self.phase == 0 && line.trim_ascii().is_empty() {
                if self.whole > 0 {
                    return;
                }
                self.skip(length + 1);
                continue;
            }
            self.odd = !fastq::is_plain(self.phase, line, self.letters);
            if self.phase == 1 {
                self.letters = line.len();
            }
            self.searched += length + 1;
            self.phase = (self.phase + 1) % 4;
            if self.phase == 0 && !self.odd {
                self.whole = self.searched;
            }
        }
    }

    /// Returns the block of odd FASTQ records that follow each other, or of what follows the last complete
    /// record at the end of the input.
    fn last_or_odd(&mut self, format: Format) -> Option<Block> {
        let ended = self.ended && self.error.is_none();
        let is_sought = (self.odd || ended) && format != Format::Bam;
        if self.text.is_empty() || !is_sought || self.first_is_too_large(format) {
            return None;
        }
        if format == Format::Fasta {
            return Some(self.cut(format, self.text.len()));
        }
        if self.text.trim_ascii().is_empty() {
            self.text.clear();
            return None;
        }
        let (mut end, mut letters, mut goes_on) = (0, Vec::new(), true);
        while goes_on {
            match fastq::scan(&self.text[end..], ended, &mut letters) {
                ScanResult::Record { end: size, .. } => end += size,
                ScanResult::Fault { end: size, .. } => (end, goes_on) = (end + size, false),
                ScanResult::More => goes_on = false,
            }
            // All else is left to the search: which way a record is read must not depend on those before it.
            goes_on &= self.text.get(end) == Some(&b'@') && fastq::is_odd(&self.text[end..]);
        }
        if end == 0 {
            return None;
        }
        let block = self.cut(Format::FastqOdd, end);
        (self.searched, self.phase, self.odd) = (0, 0, false);
        Some(block)
    }

    /// Drops the first bytes of the text.
    fn skip(&mut self, bytes: usize) {
        self.line += memchr_iter(b'\n', &self.text[..bytes]).count() as u64;
        self.offset += bytes as u64;
        self.text.drain(..bytes);
        if bytes > 0 {
            self.begun = self.progress.bytes();
        }
        self.searched = 0;
    }

    /// Hands on the first `end` bytes.
    fn cut(&mut self, format: Format, end: usize) -> Block {
        let mut rest = Vec::with_capacity(BLOCK_SIZE.max(self.text.len() - end));
        rest.extend_from_slice(&self.text[end..]);
        let mut bytes = std::mem::replace(&mut self.text, rest);
        bytes.truncate(end);
        let (line, offset) = (self.line, self.offset);
        self.offset += end as u64;
        self.line += match format {
            Format::Bam => bam::count(&bytes),
            Format::Fasta | Format::Fastq | Format::FastqOdd => memchr_iter(b'\n', &bytes).count() as u64,
        };
        self.searched = self.searched.saturating_sub(end);
        self.whole = 0;
        self.begun = self.progress.bytes();
        format.seal(&mut bytes);
        Block { content: Content::Bytes(bytes, format), source: self.number, line, offset }
    }

    fn failed(&self, source: std::io::Error) -> InputError {
        let path = self.input.path().into();
        let lines = if self.format == Some(Format::Bam) { 0 } else { memchr_iter(b'\n', &self.text).count() };
        let line = self.line + lines as u64;
        // The parser, which counts records, puts their number in.
        let records = 0;
        // Compressed data that seem to be damaged may be those of a file that is still being written.
        let change = source.get_ref().and_then(|error| error.downcast_ref::<Change>()).cloned();
        if let Some(change) = change.or_else(|| self.source.change()) {
            return InputError::Changed { path, change };
        }
        let inner = source.get_ref().and_then(|error| error.downcast_ref::<Trailing>());
        if let Some(Trailing { offset, found }) = inner.cloned() {
            return InputError::Trailing { path, offset, found };
        }
        match self.source.codec {
            Some(codec) if needs_memory(&source) => {
                InputError::DecoderMemory { path, codec, limit: DECODER_MEMORY }
            }
            Some(codec) => InputError::Damaged { path, codec, line, records, source },
            None => InputError::Read { path, line, records, source },
        }
    }
}
