//! What can go wrong between an embedding and its file.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use virpack_seq::{Hint, Shard, shown_id, shown_path};

use super::{OutputDtype, OutputFormat};
use crate::error::{Error, opaque};
use crate::files::FileProblem;
use crate::html::HtmlError;

opaque! {
    /// An error between an embedding and its file.
    pub struct OutputError(pub(crate) OutputProblem) in Error::Output;
}

/// The kinds of output errors that a caller can word for its users, whose options have names of their own.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum OutputErrorKind<'a> {
    /// There is no room for what waits for standard output, in the directory of temporary files.
    Scratch,
    /// The format has one row for each record, and a table of rows was requested for each.
    NoResidues(OutputFormat),
    /// The format cannot go to standard output.
    NoStream,
    /// The format does not have the requested type of values.
    NoDtype,
    /// The name is that of a shard, and no shard was requested.
    NoShard,
    /// A shard was requested of this input, a pipe or a URL.
    ShardOfPipe(&'a str),
    /// A shard was requested under the name of a complete output.
    ShardName,
    /// A shard was requested in a type other than float32.
    ShardDtype,
    /// A value is too large for the type of the file's values.
    Overflow,
    /// The output, or a table beside it, exists.
    Exists,
    /// The field of the options that standard output does not allow, and the reason.
    NotToStdout(&'static str, &'static str),
    /// The field of the options that a store does not allow, and the reason.
    NotToStore(&'static str, &'static str),
    /// The output has no report.
    NoReport,
    /// Standard output takes one of the two files.
    WhichFrames,
    /// A kind of frames was requested with files of this prefix.
    KindOfFiles(&'a Path),
    /// A complete part of an earlier run cannot be read.
    Part,
    /// Standard output failed.
    Stdout(ErrorKind),
    /// Standard output is closed.
    StdoutClosed,
    /// Any other problem: its hint needs no name of an option.
    Other,
}

/// The problem, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputProblem {
    /// A file or a directory could not be made, written or named.
    #[error(transparent)]
    File(#[from] FileProblem),
    /// No format has the ending of the asked name.
    #[error(
        "{}: {} is not a known output format", shown_path(path),
        ending.as_ref().map_or_else(|| "a name without an ending".to_owned(), |ending| format!(".{ending}"))
    )]
    UnknownFormat {
        /// The output as it was named.
        path: PathBuf,
        /// What stands behind its last dot.
        ending: Option<String>,
        /// The endings that work.
        supported: String,
    },
    /// An output was to replace an input.
    #[error("{} is an input too", shown_path(.0))]
    IsInput(PathBuf),
    /// An output was to replace a file of a model that the run uses.
    #[error("{} is {}, a file of a model that this run uses", shown_path(path), shown_path(file))]
    IsModel {
        /// The output.
        path: PathBuf,
        /// The model's file.
        file: PathBuf,
    },
    /// A format that has one shape for all records was to hold a table of rows for each.
    #[error(
        ".{} holds one row for each record, and without pooling a record has a row for each residue",
        .0.ending()
    )]
    NoResidues(OutputFormat),
    /// A format that is not written from front to back was to go to standard output.
    #[error(
        ".{} cannot go to standard output: its beginning is written last", .0.ending()
    )]
    NoStream(OutputFormat),
    /// A format that has no such type was to hold it.
    #[error(
        ".{} has no {dtype}", format.ending()
    )]
    NoDtype {
        /// The format.
        format: OutputFormat,
        /// What was asked for.
        dtype: OutputDtype,
    },
    /// A shard that is one of nothing.
    #[error("{}: a name that ends in .shard is for one shard of an input", shown_path(.0))]
    NoShard(PathBuf),
    /// A shard of an input that cannot be read twice.
    #[error("a shard is read from files, and {0} is a pipe, a device or a URL")]
    ShardOfPipe(String),
    /// A shard under the name of a complete output.
    #[error("{} would pass for all rows, and has those of shard {shard}", shown_path(path))]
    ShardName {
        /// The output as it was named.
        path: PathBuf,
        /// The shard.
        shard: Shard,
    },
    /// A shard of a type other than float32.
    #[error("a shard holds float32, not {0}")]
    ShardDtype(OutputDtype),
    /// A value that the type of the file's values cannot hold.
    #[error("record {}: a value of {largest} in its embedding, more than {dtype} holds", shown_id(id))]
    Overflow {
        /// The record's id.
        id: String,
        /// The largest absolute value of its embedding.
        largest: f32,
        /// The type of the file's values.
        dtype: OutputDtype,
    },
    /// The asked name is a directory, a pipe, a device or standard output.
    #[error("{} is {what}, not a regular file", shown_path(path))]
    NotAFile {
        /// The output as it was named.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// A picture that could not be drawn.
    #[error("cannot draw {}: {source}", shown_path(path))]
    Draw {
        /// The file as it would have been named in the end.
        path: PathBuf,
        /// What the drawing said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The output, or a table beside it, exists.
    #[error("{} exists", shown_path(.0))]
    Exists(PathBuf),
    /// An option that asks for more than standard output takes.
    #[error("{option} cannot be used with standard output: {reason}")]
    NotToStdout {
        /// The option's name: `resume`, `shard`, `report` or `plot`.
        option: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// An option that asks for more than a store takes.
    #[error("{option} cannot be used with an output in a store: {reason}")]
    NotToStore {
        /// The option's name: `resume` or `shard`.
        option: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A report about rows that are not one a record, or not all of a run.
    #[error("there is no report of this output: {0}")]
    NoReport(&'static str),
    /// The report could not be made.
    #[error("cannot make the report: {0}")]
    Report(#[from] HtmlError),
    /// Two files of which one can go to standard output.
    #[error("standard output takes one of the two files")]
    WhichFrames,
    /// A kind of frames where both are written.
    #[error("a kind of frames chooses what goes to standard output, and {} names files", shown_path(.0))]
    KindOfFiles(PathBuf),
    /// Standard output takes nothing more.
    #[error("cannot write to standard output: {0}")]
    Stdout(#[source] io::Error),
    /// Standard output was closed when the process began.
    #[error("standard output is closed or open for reading only, and the output goes there")]
    StdoutClosed,
    /// A part that was whole could not be read again.
    #[error("cannot read {}: {source}", shown_path(path))]
    Part {
        /// The part.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part of a plan could not be read back.
    #[error("cannot read the rows of {}: {source}", shown_path(path))]
    Rows {
        /// The part.
        path: PathBuf,
        /// What the decoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The encoder of a format refused a row.
    #[error("cannot encode {}: {source}", shown_path(path))]
    Encode {
        /// The file as it would have been named in the end.
        path: PathBuf,
        /// What the encoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An embedding of another width than the output was made for.
    #[error("record {}: an embedding of {given} values where the output has [n, {expected}]", shown_id(id))]
    Width {
        /// The record's id.
        id: String,
        /// Width of the model.
        expected: usize,
        /// Values delivered.
        given: usize,
    },
    /// A record names an input that the options do not.
    #[error(
        "record {}: its input is number {source_index} (from 0), and the output has {sources}",
        shown_id(id)
    )]
    UnknownSource {
        /// The record's id.
        id: String,
        /// The input it claims, from 0.
        source_index: u32,
        /// Inputs named in the options.
        sources: usize,
    },
    /// A record was delivered a second time.
    #[error("record {} (number {record} in the input, from 0) was delivered twice", shown_id(id))]
    Duplicate {
        /// The record's place over all inputs, from 0.
        record: u64,
        /// The record's id.
        id: String,
    },
    /// A record was never delivered, neither as a row nor as skipped.
    #[error(
        "record number {record} in the input (from 0) got neither a row nor a reason; {delivered} of \
         {expected} records did"
    )]
    Missing {
        /// The first such record's place over all inputs, from 0.
        record: u64,
        /// Records delivered.
        delivered: u64,
        /// Records read.
        expected: u64,
    },
    /// A record number was delivered that no record has.
    #[error("record number {record} (from 0) was delivered, but only {expected} records were read")]
    Surplus {
        /// The first such number.
        record: u64,
        /// Records read.
        expected: u64,
    },
}

impl OutputError {
    /// Puts the output's name in place of one that was made of it.
    pub(super) fn of_output(self, output: &Path) -> OutputError {
        match self.0 {
            OutputProblem::File(FileProblem::Name { source, .. }) => {
                FileProblem::Name { path: output.to_path_buf(), source }.into()
            }
            other => other.into(),
        }
    }

    /// Returns the kind of the error.
    ///
    /// ```
    /// use virpack_core::output::{self, OutputErrorKind, OutputOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("emb.npy");
    /// std::fs::write(&path, "an older file")?;
    /// let error = output::create(&path, 2, OutputOptions::default()).err().unwrap();
    /// assert!(matches!(error.kind(), OutputErrorKind::Exists));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> OutputErrorKind<'_> {
        match &self.0 {
            OutputProblem::File(FileProblem::Scratch { .. }) => OutputErrorKind::Scratch,
            OutputProblem::NoResidues(format) => OutputErrorKind::NoResidues(*format),
            OutputProblem::NoStream(_) => OutputErrorKind::NoStream,
            OutputProblem::NoDtype { .. } => OutputErrorKind::NoDtype,
            OutputProblem::NoShard(_) => OutputErrorKind::NoShard,
            OutputProblem::ShardOfPipe(input) => OutputErrorKind::ShardOfPipe(input),
            OutputProblem::ShardName { .. } => OutputErrorKind::ShardName,
            OutputProblem::ShardDtype(_) => OutputErrorKind::ShardDtype,
            OutputProblem::Overflow { .. } => OutputErrorKind::Overflow,
            OutputProblem::Exists(_) => OutputErrorKind::Exists,
            OutputProblem::NotToStdout { option, reason } => OutputErrorKind::NotToStdout(option, reason),
            OutputProblem::NotToStore { option, reason } => OutputErrorKind::NotToStore(option, reason),
            OutputProblem::NoReport(_) => OutputErrorKind::NoReport,
            OutputProblem::WhichFrames => OutputErrorKind::WhichFrames,
            OutputProblem::KindOfFiles(prefix) => OutputErrorKind::KindOfFiles(prefix),
            OutputProblem::Part { .. } => OutputErrorKind::Part,
            OutputProblem::Stdout(source) => OutputErrorKind::Stdout(source.kind()),
            OutputProblem::StdoutClosed => OutputErrorKind::StdoutClosed,
            _ => OutputErrorKind::Other,
        }
    }

    /// Returns whether the reader of standard output has gone.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self.kind(), OutputErrorKind::Stdout(ErrorKind::BrokenPipe))
    }

    /// Returns whether virpack is at fault, and not the input or the options.
    pub(crate) fn is_fault(&self) -> bool {
        matches!(
            self.0,
            OutputProblem::Duplicate { .. }
                | OutputProblem::Missing { .. }
                | OutputProblem::Surplus { .. }
                | OutputProblem::Width { .. }
                | OutputProblem::UnknownSource { .. }
                | OutputProblem::Encode { .. }
        )
    }

    /// Wraps what the encoder of Parquet said while `path` was being written; what the system said stays
    /// what it is.
    pub(crate) fn encoding(path: &Path, error: ParquetError) -> OutputError {
        let path = path.to_path_buf();
        match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => FileProblem::Write { path, source: *source }.into(),
                Err(source) => OutputProblem::Encode { path, source }.into(),
            },
            other => OutputProblem::Encode { path, source: Box::new(other) }.into(),
        }
    }

    /// Wraps what the decoder of Parquet said of the part at `path`.
    pub(crate) fn decoding(path: &Path, error: ParquetError) -> OutputError {
        OutputProblem::Rows { path: path.to_path_buf(), source: Box::new(error) }.into()
    }

    /// Wraps what the system said while `path` was being written.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> OutputError + use<> {
        let path = path.to_path_buf();
        move |source| FileProblem::Write { path: path.clone(), source }.into()
    }
}

impl From<FileProblem> for OutputError {
    fn from(problem: FileProblem) -> OutputError {
        OutputProblem::File(problem).into()
    }
}

impl From<HtmlError> for Error {
    fn from(error: HtmlError) -> Error {
        OutputProblem::Report(error).into()
    }
}

impl From<HtmlError> for OutputError {
    fn from(error: HtmlError) -> OutputError {
        OutputProblem::Report(error).into()
    }
}

impl Hint for OutputProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            OutputProblem::File(error) => return error.hint(),
            OutputProblem::UnknownFormat { supported, .. } => format!("use one of {supported}").into(),
            OutputProblem::IsInput(_) | OutputProblem::IsModel { .. } => {
                "give the output another name".into()
            }
            OutputProblem::NoResidues(_) => {
                "use .parquet, .arrows, .safetensors or .h5, or another pooling".into()
            }
            OutputProblem::NoStream(_) => "write .npy or .arrows, or to a file".into(),
            OutputProblem::NoDtype { .. } => "use float16 or float32, or .safetensors, which has it".into(),
            OutputProblem::NoShard(_) => "a run of one shard writes it, and a merge any other format".into(),
            OutputProblem::ShardOfPipe(_) => "give files; a plan divides what a URL names".into(),
            OutputProblem::ShardName { .. } => {
                "name it NAME.shard; a merge joins all shards to any format".into()
            }
            OutputProblem::ShardDtype(_) => "choose the type where the shards are merged".into(),
            OutputProblem::Report(error) => return error.hint(),
            OutputProblem::Overflow { .. } => "write float32, or bfloat16 to .safetensors".into(),
            OutputProblem::NotAFile { .. } => {
                "the output is written aside and renamed when it is whole, so name a file in a directory"
                    .into()
            }
            OutputProblem::Exists(_) => "choose another name, or let it be replaced".into(),
            OutputProblem::NotToStdout { .. } => "leave it out, or name a file or directory".into(),
            OutputProblem::NotToStore { .. } => {
                "make a plan there instead: each of its parts that is complete is kept".into()
            }
            OutputProblem::NoReport(_) => "leave it out".into(),
            OutputProblem::WhichFrames => "name the kind: nucleotide or protein".into(),
            OutputProblem::KindOfFiles(_) => "leave it out, or write to standard output".into(),
            OutputProblem::Stdout(source) => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    "the disk that it goes to is full: free some space, or name a file elsewhere".into()
                }
                _ => "look at what reads it, or name a file".into(),
            },
            OutputProblem::StdoutClosed => "send it to a file or a program, or name a file".into(),
            OutputProblem::Part { .. } => "resume the run, which checks every part".into(),
            OutputProblem::Rows { .. } => "leave the part as it was written, or make it again".into(),
            OutputProblem::Draw { .. }
            | OutputProblem::Encode { .. }
            | OutputProblem::Width { .. }
            | OutputProblem::UnknownSource { .. }
            | OutputProblem::Duplicate { .. }
            | OutputProblem::Missing { .. }
            | OutputProblem::Surplus { .. } => return None,
        })
    }
}
