//! Formats that virpack does not read.

use std::fmt;

/// A format that virpack does not read, and how to convert it to FASTA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFormat {
    /// The name of the format, for people: `a tar file`.
    pub name: &'static str,
    /// What the user can do; `FILE` stands for the input. What it writes has a name that begins with the
    /// input's, so that no other file of the user is overwritten.
    pub(crate) remedy: &'static str,
    /// The first file that an archive holds.
    pub(crate) member: Option<String>,
}

impl ForeignFormat {
    pub(crate) const SAFETENSORS: &str = "safetensors, the tensors of a model or embeddings";

    pub(crate) const fn new(name: &'static str, remedy: &'static str) -> Self {
        ForeignFormat { name, remedy, member: None }
    }

    /// Returns whether it holds the tensors of a model, or embeddings.
    #[must_use]
    pub fn holds_tensors(&self) -> bool {
        self.name == Self::SAFETENSORS
    }

    /// Returns what the user can do with `file`, which is compressed by `codec`.
    ///
    /// Commands that read the compression take the file as it is; the others take the output of a
    /// decompressor.
    pub(super) fn remedy(&self, file: &str, codec: Option<&str>) -> String {
        let file = quoted_file(file);
        let unpack = match codec {
            Some("bzip2") => "bzip2 -dc",
            Some("xz") => "xz -dc",
            Some("zstd") => "zstd -dc",
            _ => "gzip -dc",
        };
        let member = self.member.as_deref().map_or_else(|| "MEMBER".to_owned(), quoted);
        let remedy = self.remedy.replace("MEMBER", &member);
        // `tar` reads every compression, and samtools reads SAM compressed with gzip.
        let takes = |codec: &str| self.remedy.starts_with("tar -") || (self.name == "SAM" && codec == "gzip");
        match codec {
            Some(codec) if remedy.contains("FILE") && !takes(codec) => {
                let unpacked = format!("{file}.unpacked");
                format!("{unpack} {file} > {unpacked}; then {}", remedy.replace("FILE", &unpacked))
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

/// Returns the name of an input as a shell command has it: `FILE` where no name beside it can be written.
pub(super) fn quoted_file(name: &str) -> String {
    let is_no_file = name == "<stdin>"
        || name.contains("://")
        || ["/dev/", "/proc/"].iter().any(|directory| name.starts_with(directory));
    if is_no_file { "FILE".to_owned() } else { quoted(name) }
}

/// Quotes a name for a shell.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}
