//! Writes the file of a part of a plan: rows in order, as Parquet, without side files.

use std::path::Path;

use super::parquet::Parquet;
use super::{Layout, OutputError, OutputOptions, Row, RowWriter};
use crate::files::{PendingFile, StagedFiles};

/// The writer of a part's file.
pub(crate) struct PartWriter {
    table: Parquet,
    sources: Vec<String>,
}

impl PartWriter {
    /// Opens the file under a temporary name.
    pub(crate) fn create(path: &Path, hidden: usize, options: &OutputOptions) -> Result<Self, OutputError> {
        let table = Parquet::create(path, Layout::new(hidden, options))?;
        Ok(PartWriter { table, sources: options.sources.clone() })
    }

    /// Writes the next row: `[hidden]`, or `[residues, hidden]` with a row for every residue.
    pub(crate) fn write(&mut self, row: &Row, values: &[f32]) -> Result<(), OutputError> {
        let source = self.sources.get(row.source as usize).map_or("", |source| source);
        self.table.write(row, source, values)
    }

    /// Completes the file on disk. It is not renamed yet.
    pub(crate) fn finish(self) -> Result<PendingFile, OutputError> {
        let StagedFiles { main, .. } =
            Box::new(self.table).finish(0)?.expect("a Parquet file does not go to standard output");
        Ok(main)
    }
}
