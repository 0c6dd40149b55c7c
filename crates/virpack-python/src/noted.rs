//! Lines for Python's logger about unusual records of a run that writes files. They name no option of the
//! program. `_embeddings.py` has the same lines about records in memory.

use virpack_core::EmbedSummary;
use virpack_core::output::{NotedRecords, RepeatedIds};
use virpack_core::predict::PredictSummary;
use virpack_core::seq::{grouped, shown_id};

/// Returns what a user should know about embedded records.
pub(crate) fn embedded(summary: &EmbedSummary) -> Vec<String> {
    let written = &summary.written;
    let truncated = named(&written.truncated, "is", "are", |_| "truncated".to_owned());
    let unknown = named(&written.unknown, "has", "have", |letters| {
        format!("{} that the model does not know", count(letters, "letter", "letters"))
    });
    let gaps = named(&written.gaps, "has", "have", |letters| {
        format!("{} (- or .)", count(letters, "gap character", "gap characters"))
    });
    let remarks = summary.remarks.iter().map(ToString::to_string);
    remarks.chain(truncated).chain(unknown).chain(gaps).chain(repeated(&written.repeated)).collect()
}

/// Returns what a user should know about judged records.
pub(crate) fn predicted(summary: &PredictSummary) -> Vec<String> {
    let frames = &summary.frames;
    let odd = summary.first_odd.as_ref().map(|first| {
        format!(
            "{} of {} letters stand for no nucleotide (gaps and letters of residues), in {}, the first is {}",
            frames.odd_letters,
            frames.bases,
            count(frames.odd_records, "record", "records"),
            shown_id(first)
        )
    });
    let remarks = summary.remarks.iter().map(ToString::to_string);
    remarks.chain(odd).chain(repeated(&summary.calls.repeated)).collect()
}

/// Returns the line about records with a common property, of which `what` gets the number of letters.
fn named(noted: &NotedRecords, one: &str, many: &str, what: impl Fn(u64) -> String) -> Option<String> {
    let first = shown_id(noted.first.as_ref()?);
    let records = count(noted.records, &format!("record {one}"), &format!("records {many}"));
    Some(format!("{records} {}, the first is {first}", what(noted.letters)))
}

/// Returns the line about ids of several records.
fn repeated(ids: &RepeatedIds) -> Option<String> {
    let first = shown_id(ids.first.as_ref()?);
    let at_least = if ids.at_least { "at least " } else { "" };
    let ids = count(ids.ids, "id comes", "ids come");
    Some(format!("{at_least}{ids} more than once, the first is {first}: each record has its own row"))
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}
