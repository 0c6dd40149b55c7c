//! Formats that are neither FASTA, FASTQ nor BAM: known by their first bytes, never by a name.
//!
//! Each error gives the command that makes FASTA of it. What is looked at is decompressed, so that
//! a tar file inside gzip is a tar file.

mod archives;
mod text;

use crate::error::ForeignFormat;

/// Bytes that are enough to know any format by: a header of tar.
pub(super) const ENOUGH: usize = 512;

/// Returns the bytes that are enough for [`disguised`]: four tell SAM and NBRF/PIR, twelve UTF-32 from
/// safetensors.
pub(super) fn needed(text: &[u8]) -> usize {
    if text.get(1) == Some(&0) { 12 } else { 4 }
}

/// Returns the format of a text that begins like FASTA or FASTQ and is neither.
///
/// `text` begins at the first byte after blanks, and has [`needed`] bytes or ends.
pub(super) fn disguised(text: &[u8]) -> Option<ForeignFormat> {
    match text {
        [b'>' | b'@', 0, ..] => Some(archives::safetensors(text).unwrap_or_else(|| archives::utf16(text))),
        [b'@', ..] => text::sam_header(text),
        [b'>', ..] => text::pir(text),
        _ => None,
    }
}

/// Returns the format of a text that begins with neither `>` nor `@`; the more of it there is, up to
/// [`ENOUGH`] bytes, the surer.
pub(super) fn identify(text: &[u8]) -> Option<ForeignFormat> {
    archives::identify(text).or_else(|| text::identify(text))
}
