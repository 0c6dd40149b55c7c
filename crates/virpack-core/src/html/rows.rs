//! The records of the page's table: one row for each, as long as the rows fit.

use super::best::Rank;
use super::record::{PageRecord, cut, place};
use super::tracks::ID_LETTERS;

/// The most rows of the table.
pub(super) const MOST_ROWS: usize = 100_000;
/// The most letters of a description in the table.
const DESCRIPTION: usize = 80;

/// A record in the table.
#[derive(Clone, Debug)]
pub(super) struct TableRow {
    pub(super) rank: Rank,
    pub(super) index: u64,
    pub(super) id: Box<str>,
    pub(super) description: Box<str>,
    pub(super) length: u64,
    /// The score in ten-thousandths; -1 without a score.
    pub(super) score: i64,
    pub(super) fdr: i64,
    pub(super) viral: u64,
    pub(super) classified: u64,
    /// `v`, `u`, `c` or `-`.
    pub(super) call: char,
    /// `f`, `n`, `b` or `-`.
    pub(super) evidence: char,
    pub(super) source: usize,
}

impl TableRow {
    /// `source` is the number of the record's input.
    pub(super) fn new(index: u64, record: &PageRecord<'_>, source: usize) -> Self {
        let letters: String = record.description.chars().take(DESCRIPTION).collect();
        TableRow {
            rank: Rank::new(record.score, record.length, index),
            index,
            id: cut(record.id, ID_LETTERS).into(),
            description: cut(&letters, DESCRIPTION).into(),
            length: record.length,
            score: record.score.map_or(-1, whole),
            fdr: record.fdr.map_or(-1, |fdr| (fdr * 10_000.0).round() as i64),
            viral: record.chunks_viral,
            classified: record.chunks_classified,
            call: ['v', 'u', 'c', '-'][place(record.call)],
            evidence: evidence(record).1,
            source,
        }
    }
}

/// Returns a score in whole ten-thousandths. It is rounded down, so that it reaches a threshold if and only
/// if the score does. A tiny number is added for scores without an exact binary fraction, such as a float32
/// 0.7.
pub(super) fn whole(score: f64) -> i64 {
    ((score * 10_000.0 + 1e-3).floor() as i64).clamp(0, 10_000)
}

/// Returns the evidence on which a record's chunks were judged, as a word and a letter.
pub(super) fn evidence(record: &PageRecord<'_>) -> (&'static str, char) {
    match (record.chunks_classified, record.by_nucleotides) {
        (0, _) => ("–", '-'),
        (_, 0) => ("frames", 'f'),
        (all, by_nucleotides) if by_nucleotides >= all => ("nucleotides", 'n'),
        _ => ("both", 'b'),
    }
}

/// All rows, or the best of them in the order of the input.
#[derive(Debug)]
pub(super) struct TableRows {
    pub(super) rows: Vec<TableRow>,
    /// Records of the run.
    pub(super) total: u64,
}

impl TableRows {
    pub(super) fn new() -> Self {
        TableRows { rows: Vec::new(), total: 0 }
    }

    pub(super) fn add(&mut self, row: TableRow) {
        self.total += 1;
        self.rows.push(row);
        if self.rows.len() == 2 * MOST_ROWS {
            self.keep(MOST_ROWS);
        }
    }

    /// Keeps the `most` best.
    pub(super) fn keep(&mut self, most: usize) {
        if self.rows.len() <= most {
            return;
        }
        self.rows.select_nth_unstable_by_key(most, |row| row.rank);
        self.rows.truncate(most);
        self.rows.sort_unstable_by_key(|row| row.index);
    }

    /// Leaves out the descriptions of all but the `most` best.
    pub(super) fn describe(&mut self, most: usize) {
        let mut ranks: Vec<Rank> = self.rows.iter().map(|row| row.rank).collect();
        if ranks.len() <= most {
            return;
        }
        let (_, last, _) = ranks.select_nth_unstable(most);
        for row in &mut self.rows {
            if row.rank >= *last {
                row.description = "".into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: u64, score: Option<f64>) -> TableRow {
        let record = PageRecord { id: "a", description: "text", score, ..PageRecord::default() };
        TableRow::new(index, &record, 0)
    }

    #[test]
    fn a_whole_score_reaches_the_same_thresholds() {
        assert_eq!(
            [0.69996, 0.7, f64::from(0.7f32), 0.0289, 0.0, 1.0].map(whole),
            [6_999, 7_000, 7_000, 289, 0, 10_000]
        );
        for thousandth in 0..=1_000 {
            let line = f64::from(thousandth) / 1_000.0;
            assert_eq!(whole(line), i64::from(thousandth) * 10, "{line}");
            if thousandth > 0 {
                assert_eq!(whole(line - 1e-6) / 10, i64::from(thousandth) - 1, "below {line}");
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_the_best_stay_in_the_order_of_the_input() {
        let mut rows = TableRows::new();
        for i in 0..2 * MOST_ROWS as u64 + 10 {
            rows.add(row(i, (i % 2 == 1).then_some(0.5)));
            assert!(rows.rows.len() < 2 * MOST_ROWS);
        }
        rows.keep(5);
        assert_eq!(rows.rows.iter().map(|row| row.index).collect::<Vec<_>>(), [1, 3, 5, 7, 9]);
        assert_eq!(rows.total, 2 * MOST_ROWS as u64 + 10);
        rows.describe(2);
        assert_eq!(rows.rows.iter().filter(|row| !row.description.is_empty()).count(), 2);
        assert_eq!(&*rows.rows[1].description, "text");
    }

    #[test]
    fn evidence_names_what_chunks_were_judged_by() {
        let of = |chunks_classified, by_nucleotides| {
            evidence(&PageRecord { chunks_classified, by_nucleotides, ..PageRecord::default() }).0
        };
        assert_eq!([of(0, 0), of(2, 0), of(2, 1), of(2, 2)], ["–", "frames", "both", "nucleotides"]);
    }
}
