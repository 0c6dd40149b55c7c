//! Hints of errors, and how messages show bytes.

use std::borrow::Cow;

use virpack_store::StoreError;

use super::foreign_format::quoted_file;
use super::suspect::shown_byte;
use super::{Hint, InputError, SeqError};
use crate::escape::shown_path;
use crate::record::shown_id;

impl Hint for SeqError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            SeqError::Input(error) => return error.hint(),
            SeqError::Open { source, .. } => match StoreError::of_io(source) {
                Some(error) => return error.hint(),
                None => "check the path and its permissions".into(),
            },
            SeqError::NotNucleotides { .. } => {
                "this takes DNA or RNA; proteins are for a model of proteins, in a run of their own".into()
            }
            SeqError::NotProtein { .. } => {
                "this model reads proteins; nucleotides are for virpack-mini/nucleotide or zhihan1996/DNABERT-S, in a run \
                 of their own"
                    .into()
            }
            SeqError::GeneticCode { known, .. } => format!("NCBI's are {known}").into(),
            SeqError::Tokenizer { problem, .. } => return problem.hint(),
            SeqError::TooLong { .. } => {
                "allow longer records, or let long ones be truncated, cut into windows or skipped".into()
            }
            SeqError::WindowOverlap { most, .. } => {
                format!("the most is half of the largest length, {most}").into()
            }
            SeqError::MaxLengthZero => "the largest length must be at least 1".into(),
            SeqError::Thread(error) => return error.hint(),
            SeqError::BudgetTooSmall { longest, .. } => format!(
                "the smallest budget that works is {longest}: the largest length (of chunks, their length) and the \
                 special tokens"
            )
            .into(),
            SeqError::BudgetTooLarge { .. } => "the largest is 2147483647".into(),
            SeqError::AttentionCostTooSmall { longest, .. } => {
                format!("the smallest that works is the square of {longest}").into()
            }
            SeqError::LengthOutOfRange { longest, .. } => {
                format!("a batch holds sequences of 1 to {longest} tokens").into()
            }
            SeqError::NotEnoughMemory { needed, limit, .. } => format!(
                "{} are needed; {}, lower the largest length (of chunks, their length) or take a smaller \
                 model",
                megabytes(*needed),
                if limit.is_some() { "raise the limit" } else { "free some" }
            )
            .into(),
            SeqError::OverBudget { .. }
            | SeqError::ZeroOption { .. }
            | SeqError::OverAttentionCost { .. }
            | SeqError::NoTokens { .. } => return None,
        })
    }
}

impl Hint for InputError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            InputError::Directory { .. } => "name the files in it".into(),
            InputError::NoFile { .. } => "write it to a file first".into(),
            InputError::StdinTwice { .. } => "it can be read only once".into(),
            InputError::Read { source, .. } => return StoreError::of_io(source).and_then(StoreError::hint),
            InputError::Changed { change, .. } => return change.hint(),
            InputError::Damaged { codec, source, .. } => mend(codec, is_end(source)).into(),
            InputError::DecoderMemory { path, .. } => {
                let path = quoted_file(&shown_path(path));
                format!("decompress it first: {} > {path}.unpacked", self.decompress_command()?).into()
            }
            InputError::RecordTooLarge { compressed, .. } => too_large(compressed.is_some()).into(),
            InputError::HeaderTooLong { .. } => {
                "a line end is missing, or this is not a file of sequences; a larger limit on headers reads longer ones"
                    .into()
            }
            InputError::Trailing { offset, .. } => format!(
                "where a plain file was joined to a compressed one, compress it first; else keep the data alone, head -c \
                 {offset}"
            )
            .into(),
            InputError::NotSequences { .. } => "name a file of sequences".into(),
            InputError::Foreign { path, format, codec } => format.remedy(&shown_path(path), *codec).into(),
            InputError::BamTruncated { .. } => {
                "the file is incomplete: fetch or write it again; samtools quickcheck checks it".into()
            }
            InputError::Bam { problem, .. } => problem.remedy().into(),
            InputError::Binary { .. } => {
                "FASTA and FASTQ may be compressed by gzip, bzip2, xz or zstd; other formats are not read".into()
            }
            InputError::CarriageReturns { .. } => "tr '\\r' '\\n' gives them ends that are read".into(),
            InputError::QualityLength { .. } => {
                "the file is damaged; fetch it again, or remove the record".into()
            }
            InputError::FastqLine { found, .. } => fastq_hint(*found).into(),
            InputError::StrayByte { suspect, .. } => suspect.hint().into(),
            InputError::FastqTruncated { .. } => "the file is incomplete; fetch it again".into(),
        })
    }
}

/// Returns whether the decoder reported that its data end too early, and not that they are wrong.
pub(super) fn is_end(source: &std::io::Error) -> bool {
    source.kind() == std::io::ErrorKind::UnexpectedEof
}

/// Returns what the user can do about compressed data that are incomplete or followed by something else:
/// the decoder cannot distinguish the two.
pub(super) fn mend(codec: &str, is_end: bool) -> String {
    match (codec, is_end) {
        ("gzip", true) => "the file is incomplete; fetch or compress it again".to_owned(),
        ("gzip", false) => "the file is damaged; fetch or compress it again".to_owned(),
        _ => format!(
            "either the file is {}: fetch or compress it again; or something else was joined to its end: compress that by \
             {codec} too, or give it as an input of its own",
            if is_end { "incomplete" } else { "damaged" }
        ),
    }
}

/// Shows the first byte of a line.
pub(super) fn shown_beginning(found: Option<u8>) -> String {
    found.map_or_else(|| "nothing".to_owned(), shown_byte)
}

/// Returns what the user can do about a line that is not where FASTQ requires it.
pub(super) fn fastq_hint(found: Option<u8>) -> &'static str {
    match found {
        Some(b'>') => "put FASTA and FASTQ into separate files",
        Some(0xEF | 0xFE | 0xFF) => "remove the byte order mark, left where files were joined",
        Some(0x1A) => "remove the mark (Ctrl-Z), left where files were joined: tr -d '\\032' < FILE",
        _ => {
            "a record has a header (`@`), its sequence, a line with `+`, and as many quality values as letters"
        }
    }
}

/// Shows the bytes that are free, or those that a limit leaves.
pub(super) fn room(available: u64, limit: Option<&str>) -> String {
    let available = megabytes(available);
    match limit {
        None => format!("{available} of free memory"),
        Some(limit) => format!("the {available} that {limit} leaves"),
    }
}

/// Shows a number of bytes in MB.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Shows a size with at least three digits.
pub(super) fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        1_000_000_000.. => (1_000_000_000, "GB"),
        1_000_000.. => (1_000_000, "MB"),
        1_000.. => (1_000, "kB"),
        _ => return format!("{bytes} bytes"),
    };
    if bytes.is_multiple_of(unit) {
        return format!("{} {name}", bytes / unit);
    }
    format!("{:.2} {name}", bytes as f64 / unit as f64)
}

/// Shows an id in brackets, or nothing if it is empty.
pub(super) fn in_brackets(id: &str) -> String {
    if id.is_empty() { String::new() } else { format!(" ({})", shown_id(id)) }
}

/// Shows how well a record compresses, if that is the problem.
pub(super) fn grown(compressed: Option<u64>) -> String {
    compressed.map_or_else(String::new, |bytes| {
        format!(", from at most {} of compressed data: no genome compresses so well", size(bytes))
    })
}

/// Returns what the user can do about a record that is too large.
pub(super) fn too_large(is_bomb: bool) -> &'static str {
    match is_bomb {
        true => "a larger limit on records reads it all the same, up to that size",
        false => {
            "a larger limit on records reads it, where the memory holds four copies of it; a line that begins with `>` or \
             `@` begins a record"
        }
    }
}
