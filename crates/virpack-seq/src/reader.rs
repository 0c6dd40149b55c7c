//! FASTA, FASTQ and BAM, plain or compressed, from files and pipes, in bounded memory.
//!
//! Format and compression are known by content, never by name. Why `needletail` parses, and how its
//! limits are met, is in `dev/reader.md`.

mod bam;
mod blocks;
mod checksum;
mod cuts;
mod fastq;
mod file_state;
mod foreign;
mod gzip;
mod limits;
mod lines;
mod members;
mod memory;
mod parser;
mod ranges;
mod remarks;
mod source;
mod stdin;
mod suspect;
mod text_range;
mod unique_ids;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use bam::Alignments;
use checksum::Checksums;
pub use checksum::{InputChecksum, hex};
pub use cuts::{Cut, cut};
use file_state::{FileState, InputStates};
pub use limits::ReadLimits;
pub use ranges::{CutInput, RecordRange, open_range};
use remarks::Remarks;
pub use remarks::{InputRemark, Remark};
use stdin::looked_at;
pub use text_range::TextRange;

pub use crate::error::{BamProblem, Change, ForeignFormat, Suspect};
use crate::error::{InputError, SeqError};
use crate::input::Input;
use crate::record::Record;
use crate::shard::Shard;
pub(crate) use blocks::{Block, Blocks};
use memory::MemoryBlocks;
pub(crate) use parser::Parser;
use source::Source;

/// Opens FASTA, FASTQ or BAM inputs, to be read one after the other as one stream of records.
///
/// Every named file is looked at now, so that a mistyped third name fails before the first is read. A
/// named pipe is not opened before its turn.
///
/// # Errors
///
/// An input that is missing, unreadable or a directory; standard input named twice. A file that
/// changes before it is read to its end is an error of [`Records::read`].
///
/// ```
/// use virpack_seq::{Record, reader};
///
/// let path = std::env::temp_dir().join("virpack-doc-reader.fasta");
/// std::fs::write(&path, ">sp|P1 a protein\nMKT\nLLV\n>empty\n")?;
/// let mut records = reader::open(&[path.into()])?;
/// let mut record = Record::default();
/// assert!(records.read(&mut record)?);
/// assert_eq!((&*record.id, &record.sequence[..]), ("sp|P1", &b"MKTLLV"[..]));
/// assert!(records.read(&mut record)?);
/// assert_eq!((record.index, record.line, record.sequence.len()), (1, 4, 0));
/// assert!(!records.read(&mut record)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open(inputs: &[Input]) -> Result<Records, SeqError> {
    open_counted(inputs, ReadProgress::default())
}

/// What is read, and what is noted of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The largest record and the largest header.
    pub limits: ReadLimits,
    /// [`ReadProgress::checksums`] are those of the inputs.
    pub checksums: bool,
    /// A record whose id came before, in any of the inputs, gets a number behind it.
    pub unique_ids: bool,
}

impl ReadOptions {
    /// Reads records and headers up to these limits.
    #[must_use]
    pub fn limits(mut self, limits: ReadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Hashes the inputs while they are read.
    #[must_use]
    pub fn checksums(mut self, checksums: bool) -> Self {
        self.checksums = checksums;
        self
    }

    /// Makes ids unique: `r, r, r` become `r, r_1, r_2`, and names that records already have are left out.
    ///
    /// ```
    /// use virpack_seq::{ReadOptions, Record, reader};
    ///
    /// let path = std::env::temp_dir().join("virpack-doc-unique-ids.fasta");
    /// std::fs::write(&path, ">read1\nACGT\n>read1_1\nACGT\n>read1 mate\nACGT\n")?;
    /// let mut records = reader::open_with(&[path.into()], ReadOptions::default().unique_ids(true))?;
    /// let (mut record, mut ids) = (Record::default(), Vec::new());
    /// while records.read(&mut record)? {
    ///     ids.push(record.id.to_string());
    /// }
    /// assert_eq!(ids, ["read1", "read1_1", "read1_2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn unique_ids(mut self, unique_ids: bool) -> Self {
        self.unique_ids = unique_ids;
        self
    }
}

/// As [`open`], with options.
///
/// # Errors
///
/// As [`open`].
///
/// ```
/// use virpack_seq::{ReadOptions, Record, reader};
///
/// let path = std::env::temp_dir().join("virpack-doc-open-with.fasta");
/// std::fs::write(&path, ">a\nMKT\n")?;
/// let mut records = reader::open_with(&[path.into()], ReadOptions::default().checksums(true))?;
/// while records.read(&mut Record::default())? {}
/// assert_eq!(records.progress().checksums()[0].bytes, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_with(inputs: &[Input], options: ReadOptions) -> Result<Records, SeqError> {
    let ReadOptions { limits, checksums, unique_ids } = options;
    let checksums = checksums.then(Checksums::default);
    let mut records = open_counted(inputs, ReadProgress { limits, checksums, ..ReadProgress::default() })?;
    if unique_ids {
        records.parser.make_ids_unique();
    }
    Ok(records)
}

/// Records at the beginning of some inputs, to look at before they are read.
pub struct Look {
    /// The records.
    pub records: Records,
    /// Whether the records end where what was looked at does, and not the input.
    pub is_part: bool,
}

/// Opens inputs to look at how they begin; [`open`] gives all of them afterwards. `None` for a
/// named pipe, which can be opened once only.
///
/// Of standard input 64 KiB are kept, and they are looked at only where it is the one input.
///
/// # Errors
///
/// As [`open`]; the system's, where standard input cannot be read.
///
/// ```
/// use virpack_seq::{AlphabetSample, ReadLimits, Record, reader};
///
/// let path = std::env::temp_dir().join("virpack-doc-look.fasta");
/// std::fs::write(&path, ">a\nMKTLLV\n")?;
/// let mut sample = AlphabetSample::default();
/// if let Some(mut look) = reader::look(&[path.into()], ReadLimits::default())? {
///     let mut record = Record::default();
///     while sample.letters() < 1_000 && look.records.read(&mut record)? {
///         sample.add(&record.sequence);
///     }
/// }
/// assert!(sample.has_protein());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn look(inputs: &[Input], limits: ReadLimits) -> Result<Option<Look>, SeqError> {
    let files: Vec<Input> = inputs.iter().filter(|&input| *input != Input::Stdin).cloned().collect();
    if !files.is_empty() || inputs.is_empty() {
        let records = open_with(&files, ReadOptions::default().limits(limits))?;
        return Ok((!records.is_pipe()).then_some(Look { records, is_part: false }));
    }
    let (bytes, is_part) = looked_at().map_err(|source| Input::Stdin.cannot_open(source))?;
    let records = Records::from_reader(Input::Stdin.path(), io::Cursor::new(bytes))?;
    Ok(Some(Look { records, is_part }))
}

fn open_counted(inputs: &[Input], mut progress: ReadProgress) -> Result<Records, SeqError> {
    let times = inputs.iter().filter(|input| **input == Input::Stdin).count();
    if times > 1 {
        return Err(InputError::StdinTwice { times }.into());
    }
    progress.total_bytes = Some(0);
    for input in inputs {
        let state = FileState::probe(input)?;
        progress.total_bytes = state.and_then(|state| Some(progress.total_bytes? + state.bytes));
        progress.states.add(input, state);
    }
    let inputs: Arc<[Input]> = inputs.into();
    let progress = Arc::new(progress);
    Ok(Records {
        blocks: Blocks::new(Arc::clone(&inputs), Arc::clone(&progress)),
        parser: Parser::new(inputs, progress),
    })
}

/// The records of all inputs, in order.
pub struct Records {
    blocks: Blocks,
    parser: Parser,
}

impl Records {
    /// Returns the records in what `reader` gives, compressed or not, up to the default limits; `name` is
    /// in errors.
    ///
    /// # Errors
    ///
    /// A decoder that cannot be set up.
    ///
    /// ```
    /// use virpack_seq::{Record, Records};
    ///
    /// let mut records = Records::from_reader("two.fasta", &b">a\nMKT\n>b\nMK\n"[..])?;
    /// let (mut record, mut ids) = (Record::default(), Vec::new());
    /// while records.read(&mut record)? {
    ///     ids.push(record.id.to_string());
    /// }
    /// assert_eq!(ids, ["a", "b"]);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn from_reader(
        name: impl Into<PathBuf>,
        reader: impl Read + Send + 'static,
    ) -> Result<Records, SeqError> {
        Records::from_reader_within(name, reader, ReadLimits::default())
    }

    /// As [`Records::from_reader`], with other limits.
    ///
    /// # Errors
    ///
    /// As [`Records::from_reader`].
    ///
    /// ```
    /// use virpack_seq::{InputError, ReadLimits, Record, Records, SeqError};
    ///
    /// let mut records = Records::from_reader_within("in.fa", &b">a\nMKTLLV\n"[..], ReadLimits::new(8, 8))?;
    /// let error = records.read(&mut Record::default()).unwrap_err();
    /// assert!(matches!(error, SeqError::Input(InputError::RecordTooLarge { limit: 8, .. })));
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn from_reader_within(
        name: impl Into<PathBuf>,
        reader: impl Read + Send + 'static,
        limits: ReadLimits,
    ) -> Result<Records, SeqError> {
        let inputs: Arc<[Input]> = [Input::Path(name.into())].into();
        let progress = Arc::new(ReadProgress { limits, ..ReadProgress::default() });
        let source = Source::from_read(Box::new(reader), 0, true, Arc::clone(&progress))
            .map_err(|error| inputs[0].cannot_open(error))?;
        Ok(Records {
            blocks: Blocks::of(source, Arc::clone(&inputs), Arc::clone(&progress)),
            parser: Parser::new(inputs, progress),
        })
    }

    /// Records that are in memory, or that `records` makes as they are asked for, on another thread where a
    /// loader reads them. Their places count from 0, whatever they say themselves. `name` is in errors, with
    /// the record's number from 1 as its line.
    ///
    /// Letters are taken and refused as those of FASTA are, but there are no comments among them; an id may
    /// be any text.
    ///
    /// ```
    /// use virpack_seq::{Record, Records};
    ///
    /// let given = ["MKTLLV", "MK"].map(|letters| Record::new("same id", letters));
    /// let mut records = Records::from_records("sequences", given);
    /// let mut record = Record::default();
    /// assert!(records.read(&mut record)? && records.read(&mut record)?);
    /// assert_eq!((record.index, &*record.id, &record.sequence[..]), (1, "same id", &b"MK"[..]));
    /// assert!(!records.read(&mut record)?);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn from_records(
        name: impl Into<PathBuf>,
        records: impl IntoIterator<Item = Record, IntoIter: Send + 'static>,
    ) -> Records {
        let inputs: Arc<[Input]> = [Input::Path(name.into())].into();
        let progress = Arc::new(ReadProgress::default());
        let blocks = MemoryBlocks::new(records.into_iter());
        Records {
            blocks: Blocks::in_memory(blocks, Arc::clone(&inputs), Arc::clone(&progress)),
            parser: Parser::new(inputs, progress),
        }
    }

    /// Fills `record` with the next record; `false` at the end of the last input.
    ///
    /// Spaces, tabs, line ends and comment lines (`;`) are taken out of the sequence; header bytes
    /// that are not UTF-8 become `U+FFFD`. A header without letters is a record with an empty
    /// sequence. A FASTQ record may go over several lines.
    ///
    /// # Errors
    ///
    /// A byte in a sequence other than letters, `*`, `-`, `.` and the names of special tokens such
    /// as `<mask>`; else what is wrong with the input, once, after all complete records before it;
    /// then `false`.
    ///
    /// ```
    /// use virpack_seq::{Record, Records};
    ///
    /// let mut records = Records::from_reader("reads.fq", &b"@r 1\nACGT\n+\nIIII\n"[..])?;
    /// let mut record = Record::default();
    /// assert!(records.read(&mut record)?);
    /// assert_eq!((&*record.id, &*record.description, &record.sequence[..]), ("r", "1", &b"ACGT"[..]));
    /// assert!(!records.read(&mut record)?);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn read(&mut self, record: &mut Record) -> Result<bool, SeqError> {
        loop {
            let read = self.parser.read(record);
            let remarks = self.parser.take_remarks();
            self.parser.progress().tell(remarks);
            if read? {
                return Ok(true);
            }
            if self.parser.has_failed() {
                return Ok(false);
            }
            let next = self.blocks.next();
            let progress = self.parser.progress();
            progress.tell(progress.take_ahead());
            match next.map_err(|error| self.parser.locate(error))? {
                Some(block) => self.parser.feed(block),
                None => return Ok(false),
            }
        }
    }

    /// Only the records of `shard`; the others are read, checked and counted.
    ///
    /// ```
    /// use virpack_seq::{Record, Records, Shard};
    ///
    /// let records = Records::from_reader("three.fasta", &b">a\nM\n>b\nM\n>c\nM\n"[..])?;
    /// let mut records = records.shard(Shard::new(2, 2).unwrap());
    /// let mut record = Record::default();
    /// assert!(records.read(&mut record)? && &*record.id == "b");
    /// assert!(!records.read(&mut record)?);
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    #[must_use]
    pub fn shard(mut self, shard: Shard) -> Records {
        self.parser.take_shard(shard);
        self
    }

    /// Returns the number of the next record over all inputs, from 0.
    pub fn next_index(&self) -> u64 {
        self.parser.index()
    }

    /// Returns the counters of this stream, to be read from any thread while it runs.
    pub fn progress(&self) -> Arc<ReadProgress> {
        Arc::clone(self.parser.progress())
    }

    /// Returns whether an input is a pipe or a terminal, whose bytes come when they come.
    #[doc(hidden)]
    pub fn is_pipe(&self) -> bool {
        self.parser.progress().total_bytes.is_none()
    }

    /// Returns the inputs, as they were named; [`Record::source`] counts in them.
    pub fn inputs(&self) -> &Arc<[Input]> {
        self.parser.inputs()
    }

    /// Returns what was passed over so far, and which inputs held no record.
    ///
    /// ```
    /// use virpack_seq::{Record, Records};
    ///
    /// let mut records = Records::from_reader("a.fasta", &b">a\nM\n;a comment\n"[..])?;
    /// while records.read(&mut Record::default())? {}
    /// assert_eq!(records.remarks()[0].to_string(), "a.fasta:3: a comment line (`;`) ignored");
    /// # Ok::<(), virpack_seq::SeqError>(())
    /// ```
    pub fn remarks(&self) -> Vec<InputRemark> {
        self.parser.progress().remarks_on(self.inputs())
    }

    /// Takes the stream apart, so that reading and parsing can run on threads of their own.
    pub(crate) fn split(self) -> (Blocks, Parser) {
        (self.blocks, self.parser)
    }
}

/// How far a stream of records is.
#[derive(Debug, Default)]
pub struct ReadProgress {
    bytes: AtomicU64,
    records: AtomicU64,
    total_bytes: Option<u64>,
    remarks: Remarks,
    /// Remarks on blocks whose turn has not come.
    remarks_ahead: Remarks,
    checksums: Option<Checksums>,
    states: InputStates,
    limits: ReadLimits,
}

impl ReadProgress {
    /// Bytes read of all inputs, as they are on disk (compressed).
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Bytes of all inputs as they are on disk, unless one of them is a pipe.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Records parsed.
    pub fn records(&self) -> u64 {
        self.records.load(Relaxed)
    }

    /// Returns what was passed over so far, and which of the `inputs` held no record.
    pub fn remarks_on(&self, inputs: &[Input]) -> Vec<InputRemark> {
        let remarks = self.remarks.all().into_iter();
        remarks
            .filter_map(|(source, remark)| {
                Some(InputRemark { input: inputs.get(source as usize)?.clone(), remark })
            })
            .collect()
    }

    /// Sizes and checksums of the inputs read to their end, where [`open_with`] was to take them.
    pub fn checksums(&self) -> Vec<InputChecksum> {
        self.checksums.as_ref().map(Checksums::all).unwrap_or_default()
    }

    /// Checks that the inputs are the files that they were when they were opened; those that were
    /// read to their end need no longer be, unless they are `also_read`.
    ///
    /// # Errors
    ///
    /// [`InputError::Changed`], of the first that is not.
    pub fn check_unchanged(&self, also_read: bool) -> Result<(), SeqError> {
        self.states.check(also_read)
    }

    fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn add_record(&self) {
        self.records.fetch_add(1, Relaxed);
    }

    /// Notes a remark of the thread that reads blocks, which [`ReadProgress::take_ahead`] gives.
    fn remark_ahead(&self, source: u32, remark: Remark) {
        self.remarks_ahead.add(source, remark);
    }

    /// Returns the remarks on the blocks that were read since the last call.
    pub(crate) fn take_ahead(&self) -> Vec<(u32, Remark)> {
        self.remarks_ahead.take()
    }

    /// Takes remarks in the order of the inputs: none on what follows an error.
    pub(crate) fn tell(&self, remarks: Vec<(u32, Remark)>) {
        remarks.into_iter().for_each(|(source, remark)| self.remarks.add(source, remark));
    }
}
