//! Warnings about altered or ambiguous records: one line each, with the first record's id.

use crate::log::LogArguments;
use crate::text::{count, grouped};
use virpack_core::output::{NotedRecords, OutputSummary, RepeatedIds};
use virpack_seq::shown_id;

/// Warns about truncated records, unknown letters, gap characters and duplicate ids. `max_length` is the
/// maximum length, if it is known.
pub(crate) fn warn_of_records(log: LogArguments, written: &OutputSummary, max_length: Option<usize>) {
    let OutputSummary { truncated, unknown, gaps, repeated, .. } = written;
    if let Some((records, first)) = named(truncated, ["is", "are"]) {
        let to = max_length.map_or_else(String::new, |most| format!(" to {} letters", grouped(most as u64)));
        log.warn(format_args!(
            "{records} truncated{to}, the first is {first}: --long-records window embeds all of it"
        ));
    }
    if let Some((records, first)) = named(unknown, ["has", "have"]) {
        let letters = count(unknown.letters, "letter", "letters");
        log.warn(format_args!(
            "{records} {letters} that the model does not know, the first is {first}: each counts as an unknown one"
        ));
    }
    if let Some((records, first)) = named(gaps, ["has", "have"]) {
        let letters = count(gaps.letters, "gap character", "gap characters");
        log.warn(format_args!(
            "{records} {letters} (- or .), the first is {first}: models are trained without them; `seqkit seq -g` takes them out"
        ));
    }
    warn_of_ids(log, repeated);
}

/// Warns about duplicate ids.
pub(crate) fn warn_of_ids(log: LogArguments, repeated: &RepeatedIds) {
    let Some(first) = &repeated.first else { return };
    let at_least = if repeated.at_least { "at least " } else { "" };
    let ids = count(repeated.ids, "id comes", "ids come");
    log.warn(format_args!(
        "{at_least}{ids} more than once, the first is {}: each record has its own rows, in input order",
        shown_id(first)
    ));
}

/// Returns the number of records, with the matching verb, and the id of the first one; None if there is
/// none.
fn named(noted: &NotedRecords, [one, many]: [&str; 2]) -> Option<(String, String)> {
    let first = shown_id(noted.first.as_ref()?).into_owned();
    let records = count(noted.records, &format!("record {one}"), &format!("records {many}"));
    Some((records, first))
}
