//! Writes `chunks.tsv`: the exact scores and the call of every chunk.

use std::path::Path;

use super::judged::JudgedRecord;
use super::options::CallOptions;
use super::table::{record_columns, score_columns, table, truth};
use crate::files::PendingFile;
use crate::output::{OutputError, TextTable};

/// The writer of `chunks.tsv`.
pub(super) struct ChunkTable(TextTable);

impl ChunkTable {
    pub(super) fn create(path: &Path, has_sources: bool) -> Result<Self, OutputError> {
        const COLUMNS: &str = "sequence_id source chunk start end frames is_virus max_score_other \
            max_score_virus status record";
        table(path, has_sources, COLUMNS).map(ChunkTable)
    }

    /// Writes the chunks of a record.
    pub(super) fn add(
        &mut self,
        record: &JudgedRecord,
        sources: &[String],
        options: &CallOptions,
    ) -> Result<(), OutputError> {
        let mut row = record_columns(&record.facts.id, record.facts.source, sources);
        let (first, index) = (row.len(), record.facts.index.to_string());
        for (number, chunk) in (1_u64..).zip(&record.chunks) {
            let highest = chunk.highest();
            row.truncate(first);
            row.extend([
                number.to_string(),
                (chunk.bases.start + 1).to_string(),
                chunk.bases.end.to_string(),
            ]);
            row.push(chunk.frames.len().to_string());
            row.push(truth(highest.map(|highest| options.is_viral(highest))).to_owned());
            row.extend(score_columns(highest));
            row.extend([chunk.status().as_str().to_owned(), index.clone()]);
            self.0.line(&row)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Option<PendingFile>, OutputError> {
        self.0.finish()
    }
}
