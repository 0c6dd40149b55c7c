//! Formats that are neither FASTA, FASTQ nor BAM: known by their first bytes, never by a name.
//!
//! Each error gives the command that makes FASTA of it. What is looked at is decompressed, so that a tar file inside
//! gzip is a tar file.

mod archives;
mod text;

use std::fmt;

/// Bytes that are enough to know any format by: a header of tar.
pub(super) const ENOUGH: usize = 512;

/// A format that is not read, and what makes FASTA of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFormat {
    /// What it is, for people: `a tar file`.
    pub name: &'static str,
    /// What to do; `FILE` stands for the input.
    remedy: &'static str,
    /// The first file that an archive holds.
    member: Option<String>,
}

impl ForeignFormat {
    const fn new(name: &'static str, remedy: &'static str) -> Self {
        ForeignFormat { name, remedy, member: None }
    }

    /// What to do with `file`, which is compressed by `codec`.
    ///
    /// Commands that know compression take the file as it is, the others what a decompressor gives.
    pub(crate) fn remedy(&self, file: &str, codec: Option<&str>) -> String {
        let file = if file == "<stdin>" { "FILE".to_owned() } else { quoted(file) };
        let unpack = match codec {
            Some("bzip2") => "bzip2 -dc",
            Some("xz") => "xz -dc",
            Some("zstd") => "zstd -dc",
            _ => "gzip -dc",
        };
        let member = self.member.as_deref().map_or_else(|| "MEMBER".to_owned(), quoted);
        let remedy = self.remedy.replace("MEMBER", &member);
        // `tar` reads every compression, and samtools SAM inside gzip.
        let takes = |codec: &str| self.remedy.starts_with("tar -") || (self.name == "SAM" && codec == "gzip");
        match codec {
            Some(codec) if remedy.contains("FILE") && !takes(codec) => {
                format!("{unpack} {file} > unpacked; then {}", remedy.replace("FILE", "unpacked"))
            }
            _ => remedy.replace("FILE", &file),
        }
    }
}

impl fmt::Display for ForeignFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match &self.member {
            Some(member) => write!(f, " (its first file is {member:?})"),
            None => Ok(()),
        }
    }
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

/// The bytes that are enough for [`disguised`]: four tell SAM and NBRF/PIR, twelve UTF-32 from safetensors.
pub(super) fn needed(text: &[u8]) -> usize {
    if text.get(1) == Some(&0) { 12 } else { 4 }
}

/// The format of a text that begins like FASTA or FASTQ and is neither.
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

/// The format of a text that begins with neither `>` nor `@`; the more of it there is, up to [`ENOUGH`] bytes, the
/// surer.
pub(super) fn identify(text: &[u8]) -> Option<ForeignFormat> {
    archives::identify(text).or_else(|| text::identify(text))
}
