//! The summary lines of `virpack predict` and `virpack report`.

use crate::stdout::shown;
use crate::text::{count, grouped, short};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use virpack_core::calls::{CallSummary, Counts, NotedRecord};
use virpack_core::predict::PredictSummary;
use virpack_seq::shown_id;

/// Returns the calls of the model of that name, and which of the `written` files to open.
pub(super) fn call_lines(calls: &CallSummary, model: &str, written: &[PathBuf], output: &Path) -> String {
    let counts = &calls.counts;
    let mut text = format!(
        "{} of {} {} viral ({model}); {} uncertain, {} cellular{}",
        grouped(counts.viral.records),
        count(counts.records, "sequence", "sequences"),
        if counts.viral.records == 1 || counts.records == 1 { "is" } else { "are" },
        grouped(counts.uncertain.records),
        grouped(counts.cellular.records),
        not_judged(counts),
    );
    named(&mut text, "best", &calls.best_viral);
    named(&mut text, "uncertain, nearest to viral", &calls.best_uncertain);
    if counts.proviruses > 0 {
        let candidates = count(counts.proviruses, "candidate provirus", "candidate proviruses");
        _ = write!(text, "\n{candidates} in other sequences");
    }
    files(&mut text, counts, written, output);
    text
}

/// Returns how many records have no verdict, and why.
fn not_judged(counts: &Counts) -> String {
    let reasons = [
        (counts.below_min_length.records, "below the least length"),
        (counts.no_open_frame, "without an open frame"),
        (counts.too_short, "too short"),
        (counts.empty, "empty"),
    ];
    let reasons = reasons.into_iter().filter(|(n, _)| *n > 0);
    let reasons: Vec<_> = reasons.map(|(n, reason)| format!("{} {reason}", grouped(n))).collect();
    match counts.not_judged.records {
        0 => String::new(),
        n => format!(", {} without a verdict ({})", grouped(n), reasons.join(", ")),
    }
}

fn named(text: &mut String, which: &str, records: &[NotedRecord]) {
    if !records.is_empty() {
        _ = write!(text, "\n{which}:");
    }
    for NotedRecord { id, length, chunks, score, .. } in records {
        let (bases, chunks) = (count(*length as u64, "base", "bases"), count(*chunks, "chunk", "chunks"));
        _ = write!(text, "\n  {score:.4}  {}, {bases}, {chunks}", shown_id(id));
    }
}

/// Adds which files to open.
fn files(text: &mut String, counts: &Counts, written: &[PathBuf], output: &Path) {
    let files = [
        (true, "report.html"),
        (true, "sequences.tsv"),
        (true, "contigs.tsv"),
        (counts.viral.records > 0, "viral.fna"),
        (counts.proviruses > 0, "proviruses.fna"),
        (counts.proviruses + counts.viral_regions > 0, "regions.tsv"),
    ];
    let files = files.into_iter().filter(|(is_worth_it, _)| *is_worth_it).map(|(_, name)| output.join(name));
    let files: Vec<_> = files.filter(|file| written.contains(file)).map(|file| shown(&file)).collect();
    if !files.is_empty() {
        _ = write!(text, "\nopen: {}", files.join(", "));
    }
}

/// Returns how much was computed, and how fast.
pub(super) fn work_line(predicted: &PredictSummary) -> String {
    let (counts, before) = (&predicted.calls.counts, &predicted.before);
    let seconds = predicted.elapsed.as_secs_f64();
    let rate = |n: u64| short(n as f64 / seconds.max(1e-9));
    let alone = match counts.chunks_by_nucleotides {
        0 => String::new(),
        n => format!(", {} judged without an open frame", count(n, "chunk", "chunks")),
    };
    let resumed = match before.chunks {
        0 => String::new(),
        n => format!(" ({} finished before)", grouped(n)),
    };
    format!(
        "\n{}{resumed}, {}{alone} in {seconds:.1} s ({}bases/s, {}chunks/s)",
        count(counts.chunks, "chunk", "chunks"),
        count(counts.frames, "open frame", "open frames"),
        rate(counts.bases_computed().saturating_sub(before.bases)),
        rate(counts.chunks - before.chunks),
    )
}
