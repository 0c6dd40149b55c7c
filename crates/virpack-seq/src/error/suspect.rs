//! Probable causes of a byte in a sequence that cannot be a letter.

use std::fmt;

/// The probable cause of a byte in a sequence that cannot be a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suspect {
    /// A header on the same line as the letters before it.
    GluedHeader,
    /// A header after blanks.
    IndentedHeader,
    /// A FASTQ record.
    Fastq,
    /// A line number, as in the formats of GenBank and EMBL.
    LineNumber,
    /// A comment, or an annotation of another format.
    Comment,
    /// The end of a record of another format: `//`.
    EndOfEntry,
    /// HTML or XML.
    Markup,
    /// A mark of an unresolved merge conflict.
    Conflict,
    /// A byte order mark inside a file.
    ByteOrderMark,
    /// The DOS end-of-file mark, inside a file.
    EndMark,
    /// A control character.
    Control,
    /// A letter outside ASCII.
    NotAscii,
    /// A character for a missing letter or a gap in other formats.
    Missing,
    /// A blank inside the sequence line of a FASTQ record.
    Blank,
    /// A table, or quoted text.
    Table,
    /// The text of a FASTA file, where the letters of one record were expected.
    TextOfFile,
    /// None of these.
    Unknown,
}

impl Suspect {
    /// Returns what the user can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Suspect::GluedHeader => {
                "end the line before the header; `awk 1 FILE...` joins files line by line"
            }
            Suspect::IndentedHeader => "remove the blanks before `>`: sed 's/^[[:blank:]]*>/>/' FILE",
            Suspect::Fastq => "put FASTA and FASTQ into separate files, or correct the line",
            Suspect::LineNumber | Suspect::EndOfEntry => {
                "export the sequences as FASTA, without numbers (from GenBank or EMBL: seqret FILE fasta:OUT)"
            }
            Suspect::Comment => "remove the line; a comment in FASTA begins a line with `;`",
            Suspect::Markup => "download the file itself: this looks like a web page",
            Suspect::Conflict => "settle the conflict that the merge of two versions left in the file",
            Suspect::ByteOrderMark => "remove the mark: sed 's/\\xEF\\xBB\\xBF//g' FILE",
            Suspect::EndMark => "remove the mark: tr -d '\\032' < FILE",
            Suspect::Control => "the file is damaged, or not a text; fetch it again",
            Suspect::NotAscii => "write the sequence in plain ASCII letters; word processors replace some",
            Suspect::Missing => "write `-` for a gap and X or N for an unknown letter",
            Suspect::Blank => "remove the blank: in FASTQ each letter has its quality value",
            Suspect::Table => "export the sequences as FASTA: this looks like a table",
            Suspect::TextOfFile => {
                "a sequence in memory is the letters of one record: give the path of the file, or its records"
            }
            Suspect::Unknown => "a sequence holds letters, `*`, `-` and `.`; remove everything else",
        }
    }
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Suspect::GluedHeader => "a header whose line before has no end",
            Suspect::IndentedHeader => "a header behind blanks",
            Suspect::Fastq => "a FASTQ record, or a damaged line",
            Suspect::LineNumber => "the number of a line, or a damaged letter",
            Suspect::Comment => "a comment, or an annotation of another format",
            Suspect::EndOfEntry => "the end of an entry in another format",
            Suspect::Markup => "HTML or XML",
            Suspect::Conflict => "a conflict mark of a version control system",
            Suspect::ByteOrderMark => "a byte order mark, where files were joined",
            Suspect::EndMark => "the end of a DOS file (Ctrl-Z), where files were joined",
            Suspect::Control => "a control character",
            Suspect::NotAscii => "a letter outside ASCII",
            Suspect::Missing => "another format's sign for a gap or an unknown letter",
            Suspect::Blank => "a blank without a quality value",
            Suspect::Table => "a piece of a table or of quoted text",
            Suspect::TextOfFile => "the text of a FASTA file, with headers or comments",
            Suspect::Unknown => "a damaged letter",
        })
    }
}

/// Shows a byte: printable ASCII as it is, any other byte by its number.
pub(super) fn shown_byte(byte: u8) -> String {
    match byte {
        b' ' => "a space".to_owned(),
        b'\t' => "a tab".to_owned(),
        0x21..=0x7E => format!("`{}`", char::from(byte)),
        _ => format!("the byte 0x{byte:02X}"),
    }
}
