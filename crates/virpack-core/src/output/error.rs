//! What can go wrong between an embedding and its file.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use virpack_seq::{shown_id, shown_path};

use super::{OutputDtype, OutputFormat};
use crate::files::FileError;

/// What can go wrong between an embedding and its file, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// A file or a directory could not be made, written or named.
    #[error(transparent)]
    File(#[from] FileError),
    /// No format has the ending of the asked name.
    #[error(
        "{}: {} is no known output format\nhint: use one of {supported}", shown_path(path),
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
    #[error("{} is an input too\nhint: give the output another name", shown_path(path))]
    IsInput {
        /// The file.
        path: PathBuf,
    },
    /// An output was to replace a file of a model that the run uses.
    #[error(
        "{} is {}, a file of a model that this run uses\nhint: give the output another name",
        shown_path(path),
        shown_path(file)
    )]
    IsModel {
        /// The output.
        path: PathBuf,
        /// The model's file.
        file: PathBuf,
    },
    /// A format that has one shape for all records was to hold a table of rows for each.
    #[error(
        ".{} holds one row a record, and --pool none gives each record as many rows as it has residues\n\
         hint: use .parquet, .arrows, .safetensors or .h5, or another --pool", format.ending()
    )]
    NoResidues {
        /// The format.
        format: OutputFormat,
    },
    /// A format that is not written from front to back was to go to standard output.
    #[error(
        ".{} cannot go to standard output: its beginning is written last\n\
         hint: --format npy or --format arrow, or name a file with -o", format.ending()
    )]
    NoStream {
        /// The format.
        format: OutputFormat,
    },
    /// A format that has no such type was to hold it.
    #[error(
        ".{} has no {dtype}\nhint: use --dtype-out f16 or f32, or .safetensors, which has it", format.ending()
    )]
    NoDtype {
        /// The format.
        format: OutputFormat,
        /// What was asked for.
        dtype: OutputDtype,
    },
    /// A shard that is one of nothing.
    #[error(
        "{}: a shard of what?\nhint: `virpack embed --shard I/N` writes shards, `virpack merge` any other format",
        shown_path(path)
    )]
    NoShard {
        /// The output as it was named.
        path: PathBuf,
    },
    /// A value that the type of the file's values cannot hold.
    #[error(
        "record {}: a value of {largest} in its embedding, more than {dtype} holds\n\
         hint: write float32 (leave --dtype-out out), or bfloat16 to .safetensors",
        shown_id(id)
    )]
    Overflow {
        /// The record's id.
        id: String,
        /// The largest absolute value of its embedding.
        largest: f32,
        /// The type of the file's values.
        dtype: OutputDtype,
    },
    /// The asked name is a directory, a pipe, a device or standard output.
    #[error(
        "{} is {what}, not a regular file\n\
         hint: the output is written aside and renamed when it is whole, so name a file in a directory",
        shown_path(path)
    )]
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
    #[error("{} exists\nhint: choose another name, or replace it with --force", shown_path(path))]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// An option that asks for more than standard output takes.
    #[error(
        "{option} does not go with -o -: {reason}\nhint: leave it out, or name a file or directory with -o"
    )]
    NotToStdout {
        /// The option.
        option: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// Two files of which one can go to standard output.
    #[error("-o - takes one of the two files\nhint: add --kind nucleotide or --kind protein")]
    WhichFrames,
    /// A kind of frames where both are written.
    #[error(
        "--kind chooses what goes to standard output, and {} names files\nhint: leave it out, or use -o -",
        shown_path(prefix)
    )]
    KindOfFiles {
        /// The beginning of the files' names.
        prefix: PathBuf,
    },
    /// Standard output takes nothing more.
    #[error("cannot write to standard output: {source}\nhint: {}", stdout_hint(source))]
    Stdout {
        /// What the system said.
        source: io::Error,
    },
    /// A part that was whole could not be read again.
    #[error(
        "cannot read {}: {source}\nhint: run again with --resume, which checks every part",
        shown_path(path)
    )]
    Part {
        /// The part.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
        match self {
            OutputError::File(FileError::Name { source, .. }) => {
                FileError::Name { path: output.to_path_buf(), source }.into()
            }
            other => other,
        }
    }

    /// Whether the reader of standard output has gone.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, OutputError::Stdout { source } if source.kind() == ErrorKind::BrokenPipe)
    }

    /// Wraps what the system said while `path` was being written.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> OutputError + use<> {
        let path = path.to_path_buf();
        move |source| FileError::Write { path: path.clone(), source }.into()
    }
}

/// What a person can do about standard output.
fn stdout_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk that it goes to is full: free some space, or name a file elsewhere with -o"
        }
        _ => "look at what reads it, or name a file with -o",
    }
}
