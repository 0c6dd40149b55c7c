//! The file of a part of a plan: rows that come in order, into Parquet, with nothing beside it.

use std::path::Path;

use super::parquet::Parquet;
use super::{Layout, OutputError, OutputOptions, Row, Table};
use crate::files::{PendingFile, StagedFiles};

/// The file of a part, being written.
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

    /// Writes the next row, `[hidden]`, or `[residues, hidden]` where every residue keeps its row.
    pub(crate) fn write(&mut self, row: &Row, values: &[f32]) -> Result<(), OutputError> {
        let source = self.sources.get(row.source as usize).map_or("", |source| source);
        self.table.write(row, source, values)
    }

    /// Makes the file whole on disk; it has no name yet.
    pub(crate) fn finish(self) -> Result<PendingFile, OutputError> {
        let StagedFiles { main, .. } =
            Box::new(self.table).finish(0)?.expect("a Parquet file does not go to standard output");
        Ok(main)
    }
}
