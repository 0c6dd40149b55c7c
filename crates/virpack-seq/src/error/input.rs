//! The errors of an input.

use std::path::PathBuf;
use std::sync::Arc;

use super::foreign_format::quoted;
use super::hints::{grown, in_brackets, is_end, shown_beginning, size};
use super::suspect::shown_byte;
use super::{BamProblem, Change, ForeignFormat, Suspect};
use crate::escape::shown_path;
use crate::record::shown_id;

/// An error of an input, and where it occurred.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// An input is a directory.
    #[error("{} is a directory", shown_path(path))]
    Directory {
        /// The input as it was named.
        path: PathBuf,
    },
    /// An input that is not a file, of which parts were requested.
    #[error("{} is not a file, and only parts of files can be read", shown_path(path))]
    NoFile {
        /// The input as it was named.
        path: PathBuf,
    },
    /// Standard input was named more than once.
    #[error("standard input (-) is named {times} times")]
    StdinTwice {
        /// How often it was named.
        times: usize,
    },
    /// A read that failed.
    #[error("{}:{line}: reading failed after {records} records: {source}", shown_path(path))]
    Read {
        /// The input as it was named.
        path: PathBuf,
        /// The line that was being read, from 1.
        line: u64,
        /// Complete records of this input before it.
        records: u64,
        /// The system's error.
        source: std::io::Error,
    },
    /// An input that changed while it was read.
    #[error("{}: the input changed while virpack read it: {change}", shown_path(path))]
    Changed {
        /// The input as it was named.
        path: PathBuf,
        /// The change.
        change: Change,
    },
    /// Compressed data that end too early or are damaged.
    #[error(
        "{}:{line}: the {codec} data {}, after {records} complete records: {source}",
        shown_path(path), if is_end(source) { "end too early" } else { "are damaged" }
    )]
    Damaged {
        /// The input as it was named.
        path: PathBuf,
        /// The compression: `gzip`, `bzip2`, `xz` or `zstd`.
        codec: &'static str,
        /// The line of the decompressed text that was being read, from 1.
        line: u64,
        /// Complete records of this input before the damage.
        records: u64,
        /// The decoder's error.
        source: std::io::Error,
    },
    /// Compressed data that need too much memory to decompress.
    #[error(
        "{}: the {codec} data take more than {} of memory to decompress: they refer that far back",
        shown_path(path), size(*limit)
    )]
    DecoderMemory {
        /// The input as it was named.
        path: PathBuf,
        /// The compression: `xz` or `zstd`.
        codec: &'static str,
        /// The largest memory of the decoder, in bytes.
        limit: u64,
    },
    /// A record that exceeds the limit on records.
    #[error(
        "{}:{line}: record {}{} is larger than {}{}",
        shown_path(path), records + 1, in_brackets(id), size(*limit), grown(*compressed)
    )]
    RecordTooLarge {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1; in BAM the number of the record.
        line: u64,
        /// Complete records of this input before it.
        records: u64,
        /// The first word of its header, as far as messages show it.
        id: Arc<str>,
        /// The largest size of a record, in bytes.
        limit: u64,
        /// The bytes of the compressed file that were read for it, at most, if the limit is a multiple of
        /// them.
        compressed: Option<u64>,
    },
    /// A header that exceeds the limit on headers.
    #[error(
        "{}:{line}: record {}: its header is longer than {}",
        shown_path(path), records + 1, size(*limit)
    )]
    HeaderTooLong {
        /// The input as it was named.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// Complete records of this input before it.
        records: u64,
        /// The largest size of a header, in bytes.
        limit: u64,
    },
    /// Something other than gzip data after the gzip data of a file.
    #[error(
        "{}: the gzip data end at byte {offset}, and what follows is not gzip: `{found}`",
        shown_path(path)
    )]
    Trailing {
        /// The input as it was named.
        path: PathBuf,
        /// The end of the gzip data, in bytes of the file.
        offset: u64,
        /// The beginning of what follows.
        found: String,
    },
    /// Text that is neither FASTA nor FASTQ.
    #[error(
        "{}:{line}: this is neither FASTA nor FASTQ: a record begins with `>` or `@`, this line with `{found}`",
        shown_path(path)
    )]
    NotSequences {
        /// The input as it was named.
        path: PathBuf,
        /// The first line that is not blank, from 1.
        line: u64,
        /// The beginning of that line.
        found: String,
    },
    /// A format that virpack does not read.
    #[error("{}: this is {format}, not FASTA, FASTQ or BAM", shown_path(path))]
    Foreign {
        /// The input as it was named.
        path: PathBuf,
        /// The format.
        format: ForeignFormat,
        /// The compression around it: `gzip`, `bzip2`, `xz` or `zstd`.
        codec: Option<&'static str>,
    },
    /// A BAM file that ends too early.
    #[error(
        "{}: record {line}: the BAM file ends too early, after {records} complete reads",
        shown_path(path)
    )]
    BamTruncated {
        /// The input as it was named.
        path: PathBuf,
        /// The record that is missing, from 1.
        line: u64,
        /// Reads before it.
        records: u64,
    },
    /// A record of a BAM file that cannot be read.
    #[error("{}: record {record} of the BAM file: {problem}", shown_path(path))]
    Bam {
        /// The input as it was named.
        path: PathBuf,
        /// The record's number in this input, from 1, counting alignments that are left out.
        record: u64,
        /// The problem.
        problem: BamProblem,
    },
    /// Bytes that are not text.
    #[error("{}:{line}: binary data where text was expected (record {record})", shown_path(path))]
    Binary {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
    },
    /// Lines that end with a carriage return only, as on early Macintosh systems: the complete file is then
    /// one header.
    #[error("{}:{line}: record {record}: its lines end with carriage returns alone", shown_path(path))]
    CarriageReturns {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
    },
    /// A FASTQ record whose quality line is shorter or longer than its sequence.
    #[error(
        "{}:{line}: record {record} ({}): {sequence} letters, but {quality} quality values",
        shown_path(path),
        shown_id(id)
    )]
    QualityLength {
        /// The input as it was named.
        path: PathBuf,
        /// The line of the record's header, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// Letters in its sequence.
        sequence: usize,
        /// Quality values read for it, at least.
        quality: usize,
    },
    /// A FASTQ record whose lines are not where the format requires them.
    #[error(
        "{}:{line}: record {record}: a line that begins with `{expected}` was expected, this one begins with {}",
        shown_path(path), shown_beginning(*found)
    )]
    FastqLine {
        /// The input as it was named.
        path: PathBuf,
        /// The line at fault, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
        /// The byte that the line must begin with: `@` or `+`.
        expected: char,
        /// The byte that it begins with; `None` if it is empty.
        found: Option<u8>,
    },
    /// A byte in a sequence that cannot be a letter.
    #[error(
        "{}:{line}: record {record} ({}): {} is not a letter of a sequence: {suspect}",
        shown_path(path), shown_id(id), shown_byte(*byte)
    )]
    StrayByte {
        /// The input as it was named.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
        /// The first word of its header.
        id: Arc<str>,
        /// The byte.
        byte: u8,
        /// The probable cause.
        suspect: Suspect,
    },
    /// A FASTQ file that ends inside a record.
    #[error("{}:{line}: the file ends inside record {record}", shown_path(path))]
    FastqTruncated {
        /// The input as it was named.
        path: PathBuf,
        /// The last line, from 1.
        line: u64,
        /// The record's number in this input, from 1.
        record: u64,
    },
}

impl InputError {
    /// Returns the error of a record that was counted without the first `records` of its input.
    pub(crate) fn behind(mut self, records: u64) -> Self {
        if let InputError::HeaderTooLong { records: number, .. }
        | InputError::Binary { record: number, .. }
        | InputError::CarriageReturns { record: number, .. }
        | InputError::QualityLength { record: number, .. }
        | InputError::FastqLine { record: number, .. }
        | InputError::StrayByte { record: number, .. }
        | InputError::FastqTruncated { record: number, .. } = &mut self
        {
            *number = number.wrapping_add(records);
        }
        self
    }

    /// Returns the command that decompresses the input to standard output, for an input that needs too much
    /// memory to decompress here ([`InputError::DecoderMemory`]); None for other errors.
    ///
    /// ```
    /// use virpack_seq::InputError;
    ///
    /// let path = "reads.fa.zst".into();
    /// let error = InputError::DecoderMemory { path, codec: "zstd", limit: 256_000_000 };
    /// assert_eq!(error.decompress_command().as_deref(), Some("zstd -dc --long=31 reads.fa.zst"));
    /// ```
    #[must_use]
    pub fn decompress_command(&self) -> Option<String> {
        let InputError::DecoderMemory { path, codec, .. } = self else { return None };
        let program = if *codec == "zstd" { "zstd -dc --long=31" } else { "xz -dc" };
        Some(format!("{program} {}", quoted(&shown_path(path))))
    }
}
