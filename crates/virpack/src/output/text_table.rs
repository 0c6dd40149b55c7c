//! Tables of text beside the output: a line a record, TAB between the columns, UTF-8.

use std::borrow::Cow;
use std::path::Path;

use super::OutputError;
use super::aside::Aside;
use super::text_file::TextFile;

/// A table of text that is written aside.
pub(crate) struct TextTable(TextFile);

impl TextTable {
    /// Opens the table that is named `target` in the end.
    pub(crate) fn create(target: &Path) -> Result<TextTable, OutputError> {
        TextFile::create(target).map(TextTable)
    }

    /// Writes one line.
    pub(crate) fn line<S: AsRef<str>>(&mut self, columns: &[S]) -> Result<(), OutputError> {
        for (i, column) in columns.iter().enumerate() {
            let tab: &[u8] = if i == 0 { b"" } else { b"\t" };
            self.0.write(&[tab, escape(column.as_ref()).as_bytes()])?;
        }
        self.0.write(&[b"\n"])
    }

    /// Makes the table whole on disk; it has no name yet.
    pub(crate) fn finish(self) -> Result<Aside, OutputError> {
        self.0.finish()
    }
}

/// A TAB or line end inside a cell, which a file's name may hold, becomes `\t`, `\n` or `\r`: a row is one
/// line whatever it says. Everything else stays as it is, backslashes too.
fn escape(cell: &str) -> Cow<'_, str> {
    if cell.contains(['\t', '\n', '\r']) {
        cell.replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r").into()
    } else {
        cell.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_and_other_letters_stay() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("emb.ids.txt");
        let mut table = TextTable::create(&target).unwrap();
        table.line(&["sp|P1,2\\t", "Ω\u{2028}é"]).unwrap();
        table.line(&["a\tb", "c\r\nd", ""]).unwrap();
        table.finish().unwrap().publish().unwrap();
        let text = std::fs::read_to_string(target).unwrap();
        assert_eq!(text, "sp|P1,2\\t\tΩ\u{2028}é\na\\tb\tc\\r\\nd\t\n");
    }
}
