//! What can go wrong between an embedding and its file.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use virpack_seq::{Hint, shown_id, shown_path};

use super::{OutputDtype, OutputFormat};
use crate::files::{FileError, FileProblem};
use crate::html::HtmlError;

/// What can go wrong between an embedding and its file, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// A file or a directory could not be made, written or named.
    #[error(transparent)]
    File(FileError),
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
    #[error("{} is an input too", shown_path(path))]
    IsInput {
        /// The file.
        path: PathBuf,
    },
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
        format.ending()
    )]
    NoResidues {
        /// The format.
        format: OutputFormat,
    },
    /// A format that is not written from front to back was to go to standard output.
    #[error(
        ".{} cannot go to standard output: its beginning is written last", format.ending()
    )]
    NoStream {
        /// The format.
        format: OutputFormat,
    },
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
    #[error("{}: a name that ends in .shard is for one shard of an input", shown_path(path))]
    NoShard {
        /// The output as it was named.
        path: PathBuf,
    },
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
    #[error("{} exists", shown_path(path))]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
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
    #[error("there is no report of this output: {reason}")]
    NoReport {
        /// Why not.
        reason: &'static str,
    },
    /// The report could not be made.
    #[doc(hidden)]
    #[error("cannot make the report: {0}")]
    Report(#[from] HtmlError),
    /// Two files of which one can go to standard output.
    #[error("standard output takes one of the two files")]
    WhichFrames,
    /// A kind of frames where both are written.
    #[error("a kind of frames chooses what goes to standard output, and {} names files", shown_path(prefix))]
    KindOfFiles {
        /// The beginning of the files' names.
        prefix: PathBuf,
    },
    /// Standard output takes nothing more.
    #[error("cannot write to standard output: {source}")]
    Stdout {
        /// What the system said.
        source: io::Error,
    },
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
    #[doc(hidden)]
    #[error("cannot encode {}: {source}", shown_path(path))]
    Encode {
        /// The file as it would have been named in the end.
        path: PathBuf,
        /// What the encoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An embedding of another width than the output was made for.
    #[doc(hidden)]
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
    #[doc(hidden)]
    #[error("record {}: it stands in input {source_index}, and the output knows of {sources}", shown_id(id))]
    UnknownSource {
        /// The record's id.
        id: String,
        /// The input it claims, from 0.
        source_index: u32,
        /// Inputs named in the options.
        sources: usize,
    },
    /// A record was delivered a second time.
    #[doc(hidden)]
    #[error("record {} (number {record} in the input, from 0) was delivered twice", shown_id(id))]
    Duplicate {
        /// The record's place over all inputs, from 0.
        record: u64,
        /// The record's id.
        id: String,
    },
    /// A record was never delivered, neither as a row nor as skipped.
    #[doc(hidden)]
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
    #[doc(hidden)]
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
        match self {
            OutputError::File(FileError(FileProblem::Name { source, .. })) => {
                FileProblem::Name { path: output.to_path_buf(), source }.into()
            }
            other => other,
        }
    }

    /// Whether the reader of standard output has gone.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, OutputError::Stdout { source } if source.kind() == ErrorKind::BrokenPipe)
    }

    /// Wraps what the encoder of Parquet said while `path` was being written; what the system said stays
    /// what it is.
    pub(crate) fn encoding(path: &Path, error: ParquetError) -> OutputError {
        let path = path.to_path_buf();
        match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => FileProblem::Write { path, source: *source }.into(),
                Err(source) => OutputError::Encode { path, source },
            },
            other => OutputError::Encode { path, source: Box::new(other) },
        }
    }

    /// Wraps what the decoder of Parquet said of the part at `path`.
    pub(crate) fn decoding(path: &Path, error: ParquetError) -> OutputError {
        OutputError::Rows { path: path.to_path_buf(), source: Box::new(error) }
    }

    /// Wraps what the system said while `path` was being written.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> OutputError + use<> {
        let path = path.to_path_buf();
        move |source| FileProblem::Write { path: path.clone(), source }.into()
    }
}

impl From<FileProblem> for OutputError {
    fn from(problem: FileProblem) -> OutputError {
        OutputError::File(FileError(problem))
    }
}

impl Hint for OutputError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            OutputError::File(error) => return error.hint(),
            OutputError::UnknownFormat { supported, .. } => format!("use one of {supported}").into(),
            OutputError::IsInput { .. } | OutputError::IsModel { .. } => {
                "give the output another name".into()
            }
            OutputError::NoResidues { .. } => {
                "use .parquet, .arrows, .safetensors or .h5, or another pooling".into()
            }
            OutputError::NoStream { .. } => "write .npy or .arrows, or to a file".into(),
            OutputError::NoDtype { .. } => "use float16 or float32, or .safetensors, which has it".into(),
            OutputError::NoShard { .. } => {
                "a run of one shard writes it, and a merge any other format".into()
            }
            OutputError::Overflow { .. } => "write float32, or bfloat16 to .safetensors".into(),
            OutputError::NotAFile { .. } => {
                "the output is written aside and renamed when it is whole, so name a file in a directory"
                    .into()
            }
            OutputError::Exists { .. } => "choose another name, or let it be replaced".into(),
            OutputError::NotToStdout { .. } => "leave it out, or name a file or directory".into(),
            OutputError::NotToStore { .. } => {
                "make a plan there instead: each of its parts that is complete is kept".into()
            }
            OutputError::NoReport { .. } => "leave it out".into(),
            OutputError::WhichFrames => "name the kind: nucleotide or protein".into(),
            OutputError::KindOfFiles { .. } => "leave it out, or write to standard output".into(),
            OutputError::Stdout { source } => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    "the disk that it goes to is full: free some space, or name a file elsewhere".into()
                }
                _ => "look at what reads it, or name a file".into(),
            },
            OutputError::Part { .. } => "resume the run, which checks every part".into(),
            OutputError::Rows { .. } => "leave the part as it was written, or make it again".into(),
            OutputError::Draw { .. }
            | OutputError::Encode { .. }
            | OutputError::Report(_)
            | OutputError::Width { .. }
            | OutputError::UnknownSource { .. }
            | OutputError::Duplicate { .. }
            | OutputError::Missing { .. }
            | OutputError::Surplus { .. } => return None,
        })
    }
}
