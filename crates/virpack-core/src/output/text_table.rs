//! Tables of text, beside the output or as one: a line a record, TAB between the columns, UTF-8.

use std::borrow::Cow;
use std::path::Path;

use virpack_seq::escaped;

use super::OutputError;
use super::text_file::TextFile;
use crate::files::PendingFile;

/// A table of text that is written aside, or to standard output.
pub(crate) struct TextTable(TextFile);

impl TextTable {
    /// Opens the table that is named `target` in the end, or standard output where that is `-`.
    pub(crate) fn create(target: &Path) -> Result<TextTable, OutputError> {
        TextFile::create(target).map(TextTable)
    }

    /// Writes one line.
    pub(crate) fn line<S: AsRef<str>>(&mut self, columns: &[S]) -> Result<(), OutputError> {
        for (i, column) in columns.iter().enumerate() {
            let tab: &[u8] = if i == 0 { b"" } else { b"\t" };
            self.0.write(&[tab, cell(column.as_ref()).as_bytes()])?;
        }
        self.0.write(&[b"\n"])
    }

    /// Writes a line whose columns are cells ([`cell`]) and which has its end.
    pub(crate) fn whole_line(&mut self, line: &str) -> Result<(), OutputError> {
        self.0.write(&[line.as_bytes()])
    }

    /// Hands on to a reader of standard output the lines that are written so far.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.0.flush()
    }

    /// Makes the table whole on disk; it has no name yet. None where all went to standard output.
    pub(crate) fn finish(self) -> Result<Option<PendingFile>, OutputError> {
        self.0.finish()
    }
}

/// A cell is escaped ([`escaped`]), and one that holds `"` is within quotes, as in CSV: a row is one line, and one row, to
/// Python's `csv`, to pandas and to everything that splits at line ends.
pub(crate) fn cell(text: &str) -> Cow<'_, str> {
    match escaped(text) {
        text if text.contains('"') => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_and_other_letters_stay() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("emb.npy.records.tsv");
        let mut table = TextTable::create(&target).unwrap();
        table.line(&["sp|P1,2\\t", "Ω\u{2028}é\u{202e}"]).unwrap();
        table.line(&["a\tb", "c\r\nd", ""]).unwrap();
        table.line(&["\"a", "b\"", "\0\u{1}\u{b}\u{85}\u{7f}"]).unwrap();
        table.finish().unwrap().unwrap().publish().unwrap();
        let text = std::fs::read_to_string(target).unwrap();
        let expected = [
            "sp|P1,2\\t\tΩ\\u2028é\\u202e\n",
            "a\\tb\tc\\r\\nd\t\n",
            "\"\"\"a\"\t\"b\"\"\"\t\\x00\\x01\\x0b\\x85\\x7f\n",
        ];
        assert_eq!(text, expected.concat());
    }
}
