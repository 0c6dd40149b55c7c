//! Candidate proviruses for other programs: FASTA, BED and GFF3.

use std::borrow::Cow;
use std::fmt::Write;

use virpack_seq::escaped;

use super::files::CallFiles;
use super::judged::{JudgedRecord, provirus_name};
use crate::files::PendingFile;
use crate::output::{OutputError, TextFile};

/// The three files in progress.
pub(super) struct Proviruses {
    /// None: the existing file belongs to the same calls.
    letters: Option<TextFile>,
    bed: TextFile,
    gff: TextFile,
}

impl Proviruses {
    pub(super) fn create(files: &CallFiles, has_letters: bool) -> Result<Self, OutputError> {
        let mut gff = TextFile::create(&files.provirus_gff)?;
        gff.write(&[b"##gff-version 3\n"])?;
        let letters = has_letters.then(|| TextFile::create(&files.provirus_letters)).transpose()?;
        Ok(Proviruses { letters, bed: TextFile::create(&files.provirus_bed)?, gff })
    }

    /// Writes the candidate proviruses of a record with these letters.
    pub(super) fn add(&mut self, record: &JudgedRecord, letters: &[u8]) -> Result<(), OutputError> {
        for (number, region) in (1..).zip(record.proviruses()) {
            let (id, bases) = (&*record.facts.id, region.bases.clone());
            let name = provirus_name(id, &bases);
            if let Some(file) = &mut self.letters {
                write_fasta(file, &name, &record.facts.description, &letters[bases.clone()])?;
            }
            let share = (1_000.0 * region.mean_posterior).round();
            let (chromosome, own) = (bed_name(id), escaped(&name));
            let bed = format!("{chromosome}\t{}\t{}\t{own}\t{share}\t.\n", bases.start, bases.end);
            self.bed.write(&[bed.as_bytes()])?;
            let gff = format!(
                "{}\tvirpack\tprophage\t{}\t{}\t{:.4}\t.\t.\tID=provirus{}.{number};Name={}\n",
                gff_name(id),
                bases.start + 1,
                bases.end,
                region.score,
                record.facts.index,
                gff_escaped(&name),
            );
            self.gff.write(&[gff.as_bytes()])?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<[Option<PendingFile>; 3], OutputError> {
        let letters = self.letters.map(TextFile::finish).transpose()?.flatten();
        Ok([letters, self.bed.finish()?, self.gff.finish()?])
    }
}

/// Writes letters unchanged, in one line. The header is one line for every program, too.
pub(super) fn write_fasta(
    out: &mut TextFile,
    id: &str,
    description: &str,
    letters: &[u8],
) -> Result<(), OutputError> {
    let blank: &[u8] = if description.is_empty() { b"" } else { b" " };
    let [id, description] = [id, description].map(escaped);
    out.write(&[b">", id.as_bytes(), blank, description.as_bytes(), b"\n", letters, b"\n"])
}

/// Returns an id for the first column of BED, in which a line that begins with `#` is a comment, and
/// `track` and `browser` are words of the format. The first letter of such an id is escaped as a control
/// character is. A column is never empty.
fn bed_name(id: &str) -> Cow<'_, str> {
    match escaped(id) {
        id if id.is_empty() => ".".into(),
        id if id.starts_with('#') || ["track", "browser"].contains(&&*id) => {
            let (first, rest) = id.split_at(1);
            format!("\\x{:02x}{rest}", first.as_bytes()[0]).into()
        }
        id => id,
    }
}

/// Returns an id for the first column of GFF3.
fn gff_name(id: &str) -> String {
    if id.is_empty() { ".".to_owned() } else { gff_escaped(id) }
}

/// Escapes text for GFF3: every byte that its first column may not hold becomes `%` and two hexadecimal
/// digits, which the last column accepts, too.
fn gff_escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b".:^*$@!+_?-|".contains(&byte) {
            out.push(char::from(byte));
        } else {
            _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_column_whatever_is_in_them() {
        for (id, bed, gff) in [
            ("NC_001416.1", "NC_001416.1", "NC_001416.1"),
            ("", ".", "."),
            ("#x", "\\x23x", "%23x"),
            ("track", "\\x74rack", "track"),
            ("track1", "track1", "track1"),
            (">a;b=c&d,e%", ">a;b=c&d,e%", "%3Ea%3Bb%3Dc%26d%2Ce%25"),
            ("a\u{2028}\u{1}", "a\\u2028\\x01", "a%E2%80%A8%01"),
            ("é|x", "é|x", "%C3%A9|x"),
        ] {
            assert_eq!((&*bed_name(id), &*gff_name(id)), (bed, gff));
        }
    }
}
