//! Records that follow each other in one input, read without the rest of it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::blocks::Blocks;
use super::checksum::Checksums;
use super::file_state::FileState;
use super::parser::Parser;
use super::source::{Source, Span};
use super::text_range::TextRange;
use super::{ReadLimits, ReadProgress, Records};
use crate::error::{InputError, SeqError};
use crate::input::Input;

/// Records that follow each other in one input, as bytes of its file; made by [`cut`](super::cut).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRange {
    /// Which input, from 0.
    pub source: u32,
    /// The bytes of the file as it is on disk. They begin at a record, or with the file, and end where the
    /// next range begins, or with the file. Those of BGZF begin and end with blocks: two ranges share the
    /// block in which the second one begins.
    pub bytes: Range<u64>,
    /// Of BGZF, which part of the blocks' text it is; None: `bytes` are the text, or the file is read
    /// completely.
    pub text: Option<TextRange>,
    /// The line of the first record in the file, from 1; where a file is one range, 1.
    pub line: u64,
    /// The place of the first record over all inputs, from 0.
    pub record: u64,
    /// Records of this input before the first.
    pub before: u64,
    /// How many records there are.
    pub records: u64,
    /// The sum of the records' weights.
    pub weight: u64,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub sha256: String,
}

/// What an input was when it was cut, for readers of its ranges to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutInput {
    /// Its bytes, as it is on disk.
    pub bytes: u64,
    /// When it was last modified, if the system knows it.
    pub modified: Option<SystemTime>,
    /// Its SHA-256 in hexadecimal digits, as `sha256sum` prints it.
    pub sha256: String,
}

/// Opens the records of `range`, one of the ranges of `inputs`, the file `number` of which was as `cut`
/// states. No other byte of the inputs is read. Records have the places, and errors the lines, that they
/// have where all inputs are read.
///
/// [`ReadProgress::checksums`] has the checksum of the range, once it is read to its end: it must be that of
/// `range`.
///
/// # Errors
///
/// A file that is missing, unreadable or a pipe, and one that has another size or modification time.
///
/// ```
/// use virpack_seq::{Input, ReadLimits, Record, reader};
///
/// # let path = std::env::temp_dir().join(format!("virpack-doc-range-{}.fasta", std::process::id()));
/// std::fs::write(&path, ">a\nMKT\n>b\nMK\n>c\nM\n").expect("a directory to write to");
/// let inputs: [Input; 1] = [path.clone().into()];
/// let mut ranges = Vec::new();
/// let of_letters = |record: &Record| record.sequence.len() as u64;
/// let cut = reader::cut(&inputs, ReadLimits::default(), 3, of_letters, |range| ranges.push(range))?;
/// assert_eq!(ranges.iter().map(|range| range.bytes.clone()).collect::<Vec<_>>(), [0..7, 7..18]);
/// let mut records = reader::open_range(&inputs, &ranges[1], &cut.inputs[0], ReadLimits::default())?;
/// let mut record = Record::default();
/// assert!(records.read(&mut record)?);
/// assert_eq!((&*record.id, record.index, record.line), ("b", 1, 3));
/// # std::fs::remove_file(path).expect("the file is there");
/// # Ok::<(), virpack_seq::SeqError>(())
/// ```
pub fn open_range(
    inputs: &[Input],
    range: &RecordRange,
    cut: &CutInput,
    limits: ReadLimits,
) -> Result<Records, SeqError> {
    let input = inputs.get(range.source as usize).cloned().unwrap_or(Input::Stdin);
    let (path, state) = file(&input)?;
    let expected = state.as_of(cut.bytes, cut.modified.or(state.modified));
    if let Some(change) = expected.change_to(&state) {
        return Err(InputError::Changed { path: path.into(), change }.into());
    }
    let progress = progress(inputs, range.source, expected, range.bytes.end - range.bytes.start, limits);
    let span = Span { bytes: range.bytes.clone(), text: range.text.clone(), ..Span::default() };
    let opened = Source::open_range(&input, range.source, span, Arc::clone(&progress), |file| file)?;
    Ok(records(opened, inputs.into(), range, progress))
}

/// Returns the records of an opened source, placed as those of `range`.
pub(super) fn records(
    source: Source,
    inputs: Arc<[Input]>,
    range: &RecordRange,
    progress: Arc<ReadProgress>,
) -> Records {
    let mut parser = Parser::new(Arc::clone(&inputs), Arc::clone(&progress));
    parser.begin_at(range.source, range.before, range.record);
    let offset = range.text.as_ref().map_or(range.bytes.start, |text| text.bytes.start);
    let blocks = Blocks::of_range(source, inputs, range.source, range.line, offset, Arc::clone(&progress));
    Records { blocks, parser }
}

/// Returns the counters of records that are read of one input, which was in this state.
pub(super) fn progress(
    inputs: &[Input],
    source: u32,
    state: FileState,
    bytes: u64,
    limits: ReadLimits,
) -> Arc<ReadProgress> {
    let (checksums, total_bytes) = (Some(Checksums::default()), Some(bytes));
    let mut progress = ReadProgress { limits, checksums, total_bytes, ..ReadProgress::default() };
    for (i, input) in inputs.iter().enumerate() {
        progress.states.add(input, (i == source as usize).then_some(state));
    }
    Arc::new(progress)
}

/// Returns the path of an input that is a file or an object, and its state.
///
/// # Errors
///
/// One that cannot be opened, and one that is neither: a pipe has no ranges.
pub(super) fn file(input: &Input) -> Result<(&Path, FileState), SeqError> {
    let no_file = || InputError::NoFile { path: input.path().into() };
    if *input == Input::Stdin {
        return Err(no_file().into());
    }
    let state = FileState::probe(input)?.ok_or_else(no_file)?;
    Ok((input.path(), state))
}
