//! The data of the page's script: JSON, compressed with gzip, as base64.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::charts::PlotCounts;
use super::rates::Rates;
use super::rows::{MOST_ROWS, TableRow, TableRows};
use super::summary::Count;

/// The contents of a data block.
pub(super) struct Contents<'a> {
    pub(super) totals: Count,
    /// The viral records at the run's threshold, which need not be one of the slider's.
    pub(super) called: Count,
    pub(super) viral: f64,
    pub(super) uncertain: f64,
    pub(super) plots: &'a PlotCounts,
    pub(super) rates: Option<&'a Rates>,
    pub(super) has_fdr: bool,
    /// The names of the inputs, if there are several.
    pub(super) sources: &'a [String],
}

/// Returns the block of as many rows as fit into `most` bytes. To make them fit, it drops first the
/// descriptions of all but the `detailed` best rows, and then the rows with the lowest scores.
pub(super) fn pack(contents: &Contents<'_>, mut rows: TableRows, detailed: usize, most: usize) -> String {
    rows.keep(MOST_ROWS);
    let mut is_described = true;
    loop {
        let block = packed(&contents.json(&rows));
        let count = rows.rows.len();
        if block.len() < most || count == 0 {
            return block;
        }
        if is_described && count > detailed {
            rows.describe(detailed);
            is_described = false;
        } else {
            let fitting = count as f64 * 0.95 * most as f64 / block.len() as f64;
            rows.keep((fitting as usize).min(count - 1));
        }
    }
}

fn packed(json: &str) -> String {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 2), Compression::default());
    encoder.write_all(json.as_bytes()).expect("a vector takes all bytes");
    STANDARD.encode(encoder.finish().expect("a vector takes all bytes"))
}

/// Converts text or a list of numbers to JSON.
macro_rules! json {
    ($value:expr) => {
        serde_json::to_string(&$value).expect("text and numbers have a form in JSON")
    };
}

impl Contents<'_> {
    fn json(&self, rows: &TableRows) -> String {
        let Contents { totals, called, viral, uncertain, plots, .. } = self;
        let rates = |rates: &Rates| {
            let five = |shares: &[f64]| shares.iter().map(|x| (x * 1e5).round() / 1e5).collect::<Vec<_>>();
            format!(
                r#"{{"false_positive":{},"recall":{}}}"#,
                json!(five(&rates.false_positive)),
                json!(five(&rates.recall))
            )
        };
        let count = |count: &Count| format!(r#"{{"records":{},"bases":{}}}"#, count.records, count.bases);
        let head = format!(
            r#""totals":{},"viral":{},"thresholds":{{"viral":{viral},"uncertain":{uncertain}}}"#,
            count(totals),
            count(called)
        );
        format!(
            r#"{{{head},"histogram":{{"records":{},"bases":{}}},"rates":{},"rows":{}}}"#,
            json!(plots.records),
            json!(plots.bases),
            self.rates.map_or("null".to_owned(), rates),
            self.rows(rows)
        )
    }

    fn rows(&self, rows: &TableRows) -> String {
        let is_whole = rows.rows.len() as u64 == rows.total;
        let rows = &rows.rows;
        let column = |value: fn(&TableRow) -> i64| json!(rows.iter().map(value).collect::<Vec<_>>());
        let lines = |text: fn(&TableRow) -> &str| json!(rows.iter().map(text).collect::<Vec<_>>().join("\n"));
        let letters = |letter: fn(&TableRow) -> char| json!(rows.iter().map(letter).collect::<String>());
        let null = || "null".to_owned();
        let has_sources = !self.sources.is_empty();
        let columns = [
            ("ids", lines(|row| &row.id)),
            ("descriptions", lines(|row| &row.description)),
            ("record", if is_whole { null() } else { column(|row| row.index as i64) }),
            ("length", column(|row| row.length as i64)),
            ("score", column(|row| row.score)),
            ("viral", column(|row| row.viral as i64)),
            ("classified", column(|row| row.classified as i64)),
            ("fdr", if self.has_fdr { column(|row| row.fdr) } else { null() }),
            ("call", letters(|row| row.call)),
            ("evidence", letters(|row| row.evidence)),
            ("sources", if has_sources { json!(self.sources) } else { null() }),
            ("source", if has_sources { column(|row| row.source as i64) } else { null() }),
        ];
        let columns: Vec<String> =
            columns.iter().map(|(name, values)| format!("\"{name}\":{values}")).collect();
        format!("{{{}}}", columns.join(","))
    }
}
