//! What errors say beside their facts: what to do, and how bytes are shown.

use std::path::Path;

use super::suspect::shown_byte;
use crate::escape::shown_path;
use crate::record::shown_id;

/// Whether a decoder found its data to end, and not to be wrong.
pub(super) fn is_end(source: &std::io::Error) -> bool {
    source.kind() == std::io::ErrorKind::UnexpectedEof
}

/// What a person can do about compressed data that are not whole, or not alone: their decoders
/// cannot tell which.
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

/// How a line begins.
pub(super) fn shown_beginning(found: Option<u8>) -> String {
    found.map_or_else(|| "nothing".to_owned(), shown_byte)
}

/// What a person can do about a line that is not where FASTQ has it.
pub(super) fn fastq_hint(found: Option<u8>) -> &'static str {
    match found {
        Some(b'>') => "give FASTA and FASTQ as inputs of their own: each file holds one format",
        Some(0xEF | 0xFE | 0xFF) => "remove the byte order mark, which stands where files were joined",
        Some(0x1A) => "remove the mark (Ctrl-Z), which stands where files were joined: tr -d '\\032' < FILE",
        _ => {
            "a record has a header (`@`), its sequence, a line with `+`, and as many quality values as letters"
        }
    }
}

/// Bytes for people, in MB.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A size for people, with three digits at least.
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

/// What a person can do about data whose decoder takes too much memory here.
pub(super) fn decompress(codec: &str, path: &Path) -> String {
    let program = if codec == "zstd" { "zstd -dc --long=31" } else { "xz -dc" };
    format!("{program} {} | virpack ... -", shown_path(path))
}

/// An id, where there is one.
pub(super) fn in_brackets(id: &str) -> String {
    if id.is_empty() { String::new() } else { format!(" ({})", shown_id(id)) }
}

/// How well a record compresses, where it does so too well.
pub(super) fn grown(compressed: Option<u64>) -> String {
    compressed.map_or_else(String::new, |bytes| {
        format!(", from at most {} of compressed data: no genome compresses so well", size(bytes))
    })
}

/// What a person can do about a record that is too large.
pub(super) fn too_large(is_bomb: bool) -> &'static str {
    match is_bomb {
        true => "--max-record-size reads it all the same, up to that size",
        false => {
            "--max-record-size reads larger ones, where the memory holds four copies of them; a line that begins with `>` \
             or `@` begins a record"
        }
    }
}
