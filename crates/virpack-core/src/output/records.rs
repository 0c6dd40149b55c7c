//! Writes the table of records beside a file that cannot hold one.

use std::fmt::Write;
use std::path::Path;

use super::names::beside;
use super::text_table::{TextTable, cell};
use super::{Layout, OutputError, Row};
use crate::files::PendingFile;

/// The writer of `OUT.records.tsv`, with a line for each row.
pub(super) struct RecordTable {
    table: TextTable,
    has_sources: bool,
    rows: u64,
    line: String,
}

impl RecordTable {
    /// Opens the table of the output `target`. With several sources, a column names the input.
    pub(super) fn create(target: &Path, layout: &Layout) -> Result<RecordTable, OutputError> {
        let mut table = TextTable::create(&beside(target, "records.tsv"))?;
        let has_sources = !layout.sources.is_empty();
        let mut columns = vec!["row", "id", "source", "length", "truncated", "unknown", "gaps"];
        columns.retain(|column| has_sources || *column != "source");
        table.line(&columns)?;
        Ok(RecordTable { table, has_sources, rows: 0, line: String::new() })
    }

    /// Writes the next row's line.
    pub(super) fn add(&mut self, row: &Row, source: &str) -> Result<(), OutputError> {
        let Row { length, unknown, gaps, .. } = *row;
        let truncated = if row.truncated { "True" } else { "False" };
        self.line.clear();
        // A table may have millions of rows. Column by column it took as long as the embeddings.
        let line = &mut self.line;
        write!(line, "{}\t{}", self.rows, cell(&row.id)).expect("a string takes any text");
        if self.has_sources {
            write!(line, "\t{}", cell(source)).expect("a string takes any text");
        }
        writeln!(line, "\t{length}\t{truncated}\t{unknown}\t{gaps}").expect("a string takes any text");
        self.rows += 1;
        self.table.whole_line(&self.line)
    }

    /// Completes the table on disk. It is not renamed yet.
    pub(super) fn finish(self) -> Result<Option<PendingFile>, OutputError> {
        self.table.finish()
    }
}
