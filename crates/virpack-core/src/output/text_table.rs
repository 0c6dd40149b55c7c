//! Writes tables of text, beside the output or as the output: a line for each record, TAB-separated, UTF-8.

use std::borrow::Cow;
use std::path::Path;

use virpack_seq::escaped;

use super::OutputError;
use super::text_file::TextFile;
use crate::files::PendingFile;

/// A table of text under a temporary name, or on standard output.
pub(crate) struct TextTable(TextFile);

impl TextTable {
    /// Opens the table that will be named `target`, or standard output for `-`.
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

    /// Writes a line that consists of cells ([`cell`]) and has its line end.
    pub(crate) fn whole_line(&mut self, line: &str) -> Result<(), OutputError> {
        self.0.write(&[line.as_bytes()])
    }

    /// Passes on the lines written so far to a reader of standard output.
    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        self.0.flush()
    }

    /// Completes the table on disk. It is not renamed yet. Returns `None` for standard output.
    pub(crate) fn finish(self) -> Result<Option<PendingFile>, OutputError> {
        self.0.finish()
    }
}

/// Escapes a cell ([`escaped`]) and quotes one that holds `"`, as in CSV. A row is then one line and one row
/// for Python's `csv`, for pandas and for everything that splits at line ends.
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
