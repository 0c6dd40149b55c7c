//! The table of records beside a file that has no room for one.

use std::path::Path;

use super::names::beside;
use super::text_table::TextTable;
use super::{Layout, OutputError, Row};
use crate::files::PendingFile;

/// `OUT.records.tsv`, being written: a line a row.
pub(super) struct RecordTable {
    table: TextTable,
    has_sources: bool,
    rows: u64,
}

impl RecordTable {
    /// Opens the table of the output `target`; with several sources a column names the input.
    pub(super) fn create(target: &Path, layout: &Layout) -> Result<RecordTable, OutputError> {
        let mut table = TextTable::create(&beside(target, "records.tsv"))?;
        let has_sources = !layout.sources.is_empty();
        let mut columns = vec!["row", "id", "source", "length", "truncated", "unknown", "gaps"];
        columns.retain(|column| has_sources || *column != "source");
        table.line(&columns)?;
        Ok(RecordTable { table, has_sources, rows: 0 })
    }

    /// Writes the next row's line.
    pub(super) fn add(&mut self, row: &Row, source: &str) -> Result<(), OutputError> {
        let number = self.rows.to_string();
        self.rows += 1;
        let (length, unknown, gaps) = (row.length.to_string(), row.unknown.to_string(), row.gaps.to_string());
        let truncated = if row.truncated { "True" } else { "False" };
        let source = self.has_sources.then_some(source);
        let first = [&*number, &*row.id].into_iter().chain(source);
        self.table.line(&first.chain([&*length, truncated, &*unknown, &*gaps]).collect::<Vec<_>>())
    }

    /// Makes the table whole on disk; it has no name yet.
    pub(super) fn finish(self) -> Result<Option<PendingFile>, OutputError> {
        self.table.finish()
    }
}
