//! Tables of text beside the output: a line a record, TAB between the columns, UTF-8.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::OutputError;
use super::aside::Aside;

/// A table of text that is written aside.
pub(super) struct TextTable {
    aside: Aside,
    out: BufWriter<File>,
}

impl TextTable {
    /// Opens the table that is named `target` in the end.
    pub(super) fn create(target: &Path) -> Result<TextTable, OutputError> {
        let (aside, file) = Aside::create(target)?;
        Ok(TextTable { aside, out: BufWriter::new(file) })
    }

    /// Writes one line.
    pub(super) fn line(&mut self, columns: &[&str]) -> Result<(), OutputError> {
        let mut write = || {
            for (i, column) in columns.iter().enumerate() {
                self.out.write_all(if i == 0 { b"" } else { b"\t" })?;
                self.out.write_all(escape(column).as_bytes())?;
            }
            self.out.write_all(b"\n")
        };
        write().map_err(OutputError::write(self.aside.target()))
    }

    /// Makes the table whole on disk; it has no name yet.
    pub(super) fn finish(self) -> Result<Aside, OutputError> {
        let TextTable { aside, out } = self;
        let synced = out.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
        synced.map_err(OutputError::write(aside.target()))?;
        Ok(aside)
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
