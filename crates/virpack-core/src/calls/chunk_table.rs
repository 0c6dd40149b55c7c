//! Writes `chunks.tsv`: the exact scores and the call of every chunk.

use std::fmt::Write;
use std::path::Path;

use super::judged::JudgedRecord;
use super::options::CallOptions;
use super::table::{add_scores, begin_line, table, truth};
use crate::files::PendingFile;
use crate::output::{OutputError, TextTable};

/// The writer of `chunks.tsv`.
pub(super) struct ChunkTable {
    table: TextTable,
    line: String,
}

impl ChunkTable {
    pub(super) fn create(path: &Path, has_sources: bool) -> Result<Self, OutputError> {
        const COLUMNS: &str = "sequence_id source chunk start end frames is_virus max_score_other \
            max_score_virus status record";
        Ok(ChunkTable { table: table(path, has_sources, COLUMNS)?, line: String::new() })
    }

    /// Writes the chunks of a record.
    pub(super) fn add(
        &mut self,
        record: &JudgedRecord,
        sources: &[String],
        options: &CallOptions,
    ) -> Result<(), OutputError> {
        let ChunkTable { table, line } = self;
        begin_line(line, &record.facts.id, record.facts.source, sources);
        let (first, index) = (line.len(), record.facts.index);
        for (number, chunk) in (1_u64..).zip(&record.chunks) {
            let highest = chunk.highest();
            let (start, end, frames) = (chunk.bases.start + 1, chunk.bases.end, chunk.frames.len());
            let verdict = truth(highest.map(|highest| options.is_viral(highest)));
            line.truncate(first);
            write!(line, "\t{number}\t{start}\t{end}\t{frames}\t{verdict}").expect("a string takes any text");
            add_scores(line, highest);
            writeln!(line, "\t{}\t{index}", chunk.status().as_str()).expect("a string takes any text");
            table.whole_line(line)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Option<PendingFile>, OutputError> {
        self.table.finish()
    }
}
