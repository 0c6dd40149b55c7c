//! Writes `contigs.tsv`: the calls of viral-pipelines, from the scores of each record's chunks.

use std::fmt::Write;

use super::external_sort::ExternalSort;
use super::files::CallFiles;
use super::judged::JudgedRecord;
use super::score_text::ScoreText;
use crate::files::PendingFile;
use crate::output::{OutputError, TextFile, cell};
use crate::verdict::{ContigCall, ContigRule};

const COLUMNS: &str = "ID\tcall\ttier\tweighted_delta\tn_chunks\tn_confident_viral\tn_confident_nonviral\t\
    n_ambiguous\tviral_proportion\tnonviral_proportion\n";

/// The writer of `contigs.tsv`, whose rows are sorted at the end.
pub(super) struct ContigTable {
    rule: ContigRule,
    table: TextFile,
    sorted: ExternalSort<Box<str>>,
}

impl ContigTable {
    pub(super) fn create(files: &CallFiles, rule: ContigRule) -> Result<Self, OutputError> {
        let mut table = TextFile::create(&files.contigs)?;
        table.write(&[COLUMNS.as_bytes()])?;
        Ok(ContigTable { rule, table, sorted: ExternalSort::new(&files.contigs) })
    }

    /// Adds a record. A record without an open frame has no row here, as it has none in VirNucPro's table
    /// of chunks.
    pub(super) fn add(&mut self, record: &JudgedRecord) -> Result<(), OutputError> {
        let Some(call) = self.rule.call(&chunk_scores(record)) else { return Ok(()) };
        let id = &record.facts.id;
        self.sorted.push(natural_key(id), row(id, &call).into())
    }

    pub(super) fn finish(self) -> Result<Option<PendingFile>, OutputError> {
        let ContigTable { mut table, sorted, .. } = self;
        sorted.finish(|_, row| table.write(&[row.as_bytes()]))?;
        table.finish()
    }
}

/// Returns the highest scores of a record's chunks with an open frame, `[other, virus]`, as in VirNucPro's
/// table: with the same digits, and sorted by the names of the chunks.
fn chunk_scores(record: &JudgedRecord) -> Vec<[f64; 2]> {
    let chunks = (1_u64..).zip(&record.chunks);
    let mut named: Vec<_> = chunks
        .filter_map(|(number, chunk)| {
            let scores = ScoreText::both(chunk.highest_of_frames()?);
            Some((number.to_string(), scores.map(|score| score.parsed())))
        })
        .collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, scores)| scores).collect()
}

fn row(id: &str, own: &ContigCall) -> String {
    // Numbers with a decimal point always have one here, as Python writes them.
    format!(
        "{}\t{}\t{}\t{:?}\t{}\t{}\t{}\t{}\t{:?}\t{:?}\n",
        cell(id),
        own.call,
        own.tier,
        own.weighted_delta,
        own.chunks,
        own.viral,
        own.nonviral,
        own.ambiguous,
        own.viral_share,
        own.nonviral_share,
    )
}

/// Returns a text that sorts as the task sorts ids: numbers in them by value, letters regardless of case.
/// Ids that are equal in this order are sorted by their bytes.
fn natural_key(id: &str) -> String {
    let mut key = String::with_capacity(2 * id.len() + 16);
    let mut rest = id;
    loop {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, number) = rest.split_at(digits);
        // Escaped ids contain no control character.
        key.extend([&*text.to_lowercase(), "\0"]);
        if number.is_empty() {
            key.extend(["\0", id]);
            return key;
        }
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let significant = number[..end].trim_start_matches('0');
        // The number with more digits is the larger one.
        _ = write!(key, "{:020}{significant}", significant.len());
        rest = &number[end..];
    }
}

#[cfg(test)]
mod tests;
