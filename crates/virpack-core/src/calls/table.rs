//! What the tables of records, chunks, frames and regions have in common.

use std::fmt::Write;
use std::path::Path;

use virpack_seq::Input;

use super::score_text::{NONE, ScoreText};
use super::scores::Scores;
use crate::output::{OutputError, TextTable, cell};

/// Opens a table with these columns, and with `source` only if there are several inputs.
pub(crate) fn table(path: &Path, has_sources: bool, columns: &str) -> Result<TextTable, OutputError> {
    let columns = columns.split_whitespace().filter(|column| *column != "source" || has_sources);
    let mut table = TextTable::create(path)?;
    table.line(&columns.collect::<Vec<_>>())?;
    Ok(table)
}

/// Returns the names of the inputs for the column `source`, if there are several.
pub(crate) fn source_names(inputs: &[Input]) -> Vec<String> {
    if inputs.len() > 1 { inputs.iter().map(ToString::to_string).collect() } else { Vec::new() }
}

/// Returns the first columns of every row of a record.
pub(crate) fn record_columns(id: &str, source: u32, sources: &[String]) -> Vec<String> {
    [Some(id.to_owned()), sources.get(source as usize).cloned()].into_iter().flatten().collect()
}

/// Puts the first cells of every row of a record into `line`, in place of what is there.
pub(crate) fn begin_line(line: &mut String, id: &str, source: u32, sources: &[String]) {
    line.clear();
    line.push_str(&cell(id));
    if let Some(source) = sources.get(source as usize) {
        line.push('\t');
        line.push_str(&cell(source));
    }
}

/// Returns a verdict as VirNucPro's files have it.
pub(super) fn truth(verdict: Option<bool>) -> &'static str {
    verdict.map_or(NONE, |verdict| if verdict { "True" } else { "False" })
}

/// Puts the exact scores, other and virus, behind a line, each with a TAB before it.
pub(crate) fn add_scores(line: &mut String, scores: Option<Scores>) {
    let written = match scores.map(ScoreText::both) {
        Some([other, virus]) => write!(line, "\t{other}\t{virus}"),
        None => write!(line, "\t{NONE}\t{NONE}"),
    };
    written.expect("a string takes any text");
}
