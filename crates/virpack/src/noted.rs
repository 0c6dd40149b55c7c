//! Warnings about unusual records: the library's sentences, each with what can be done by options.

use crate::log::LogArguments;
use virpack_core::output::{Note, OutputSummary, RepeatedIds};

/// Warns about truncated records, unknown letters, gap characters and duplicate ids. `max_length` is the
/// maximum length, if it is known.
pub(crate) fn warn_of_records(log: LogArguments, written: &OutputSummary, max_length: Option<usize>) {
    let advice = [
        (&written.truncated, Note::Truncated, "--long-records window embeds all of it"),
        (&written.unknown, Note::Unknown, "each counts as an unknown one"),
        (&written.gaps, Note::Gaps, "models are trained without them; `seqkit seq -g` takes them out"),
    ];
    for (noted, note, advice) in advice {
        if let Some(sentence) = noted.sentence(note, max_length) {
            log.warn(format_args!("{sentence}: {advice}"));
        }
    }
    warn_of_ids(log, &written.repeated);
}

/// Warns about duplicate ids.
pub(crate) fn warn_of_ids(log: LogArguments, repeated: &RepeatedIds) {
    if let Some(sentence) = repeated.sentence() {
        log.warn(sentence);
    }
}
