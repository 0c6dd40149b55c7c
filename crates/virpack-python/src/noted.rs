//! Lines for Python's logger about unusual records. They name no option of the program.

use virpack_core::output::{Note, NotedRecords, RepeatedIds};
use virpack_core::predict::PredictSummary;
use virpack_core::seq::{grouped, shown_id};
use virpack_core::{EmbedSummary, Embeddings};

/// Returns what a user should know about the records of a run that wrote a file.
pub(crate) fn embedded(summary: &EmbedSummary) -> Vec<String> {
    let written = &summary.written;
    let notes = [
        (&written.truncated, Note::Truncated),
        (&written.unknown, Note::Unknown),
        (&written.gaps, Note::Gaps),
    ];
    let remarks = summary.remarks.iter().map(ToString::to_string);
    let notes = notes.into_iter().filter_map(|(noted, note)| noted.sentence(note, Some(summary.max_length)));
    let skipped =
        written.first_skipped.as_ref().map(|(id, reason)| skipped(written.skipped, id, reason.as_str()));
    remarks.chain(notes).chain(written.repeated.sentence()).chain(skipped).collect()
}

/// Returns what a user should know about records in memory; `is_whole` says whether they are all records of a
/// source, among which ids may occur more than once.
pub(crate) fn in_memory(embeddings: &Embeddings, max_length: usize, is_whole: bool) -> Vec<String> {
    let rows = &embeddings.rows;
    let notes = [Note::Truncated, Note::Unknown, Note::Gaps]
        .into_iter()
        .filter_map(|note| NotedRecords::among(rows, note).sentence(note, Some(max_length)));
    let repeated = is_whole.then(|| RepeatedIds::among(rows).sentence()).flatten();
    let records = &embeddings.skipped;
    let skipped =
        records.first().map(|first| skipped(records.len() as u64, &first.id, first.reason.as_str()));
    notes.chain(repeated).chain(skipped).collect()
}

/// Returns what a user should know about judged records.
pub(crate) fn predicted(summary: &PredictSummary) -> Vec<String> {
    let remarks = summary.remarks.iter().map(ToString::to_string);
    remarks.chain(summary.odd_letters()).chain(summary.calls.repeated.sentence()).collect()
}

/// Returns the line about records without an embedding.
fn skipped(records: u64, first: &str, reason: &str) -> String {
    let records = count(records, "record is", "records are");
    format!("{records} skipped, the first is {} ({reason})", shown_id(first))
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}
