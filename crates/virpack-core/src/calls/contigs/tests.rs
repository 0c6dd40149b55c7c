//! Comparison with the published task, as `dev/contigs.py` ran it.

use super::*;
use crate::calls::chunk::{ScoredChunk, ScoredFrame};
use crate::calls::options::CallOptions;
use crate::calls::scores::Scores;
use crate::calls::{RecordFacts, RecordScoring, judge};

const CONTIGS: u64 = 1_000;
const ONE: u64 = 1 << 24;

/// splitmix64, as in `dev/contigs.py`.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }

    fn scores(&mut self, kind: u64) -> Scores {
        let (half, high) = (ONE / 2, 11_744_051);
        let unit = |value: u64| value as f32 / ONE as f32;
        let low = self.below(half);
        let [other, virus] = match kind {
            0 => [(); 2].map(|()| (self.below(21) as f64 / 20.0) as f32),
            1 => [low / 2, half + self.below(half)].map(unit),
            2 => [half + self.below(half), low].map(unit),
            3 => [(); 2].map(|()| unit(high + self.below(ONE - high))),
            _ => [(); 2].map(|()| unit(self.below(ONE))),
        };
        Scores { other, virus }
    }
}

/// The contigs of `dev/contigs.py`.
fn contigs() -> Vec<JudgedRecord> {
    let mut random = SplitMix(19);
    let contig = |number: u64| {
        let longer = [9, 3].into_iter().filter(|by| number.is_multiple_of(*by)).count();
        let most = [6, 40, 300][longer];
        let count = 1 + random.below(most);
        let (kind, mixed) = (random.below(5), random.below(2) == 1);
        let chunks = (0..count as usize).map(|i| {
            let kind = if mixed { random.below(5) } else { kind };
            let scores = random.scores(kind);
            let frame = ScoredFrame { frame: virpack_seq::Frame::F1, codons: 0..498, scores };
            ScoredChunk { bases: 500 * i..500 * i + 500, frames: vec![frame], whole: None }
        });
        let chunks = chunks.collect();
        let id = format!("NODE_{number}_length_{}_cov_{}.5", count * 500, random.below(1_000));
        record(number - 1, &id, chunks)
    };
    (1..=CONTIGS).map(contig).collect()
}

fn record(index: u64, id: &str, chunks: Vec<ScoredChunk>) -> JudgedRecord {
    let (id, description) = (id.into(), String::new());
    let length = 500 * chunks.len();
    let facts = RecordFacts { index, id, description, source: 0, length, is_left_out: false };
    judge(facts, chunks, &CallOptions::default(), &RecordScoring::new(None, 500))
}

/// Returns the table of records in this order.
fn table<'a>(records: impl IntoIterator<Item = &'a JudgedRecord>, rule: ContigRule) -> String {
    let directory = tempfile::tempdir().unwrap();
    let files = CallFiles::in_directory(directory.path());
    let mut table = ContigTable::create(&files, rule).unwrap();
    records.into_iter().for_each(|record| table.add(record).unwrap());
    table.finish().unwrap().unwrap().publish().unwrap();
    std::fs::read_to_string(&files.contigs).unwrap()
}

#[test]
fn a_thousand_contigs_are_called_as_the_published_task_calls_them() {
    let contigs = contigs();
    let [default, other] =
        [ContigRule::default(), ContigRule::default().min_chunks(12).min_viral(0.5).min_nonviral(0.75)];
    for (rule, expected) in [
        (default, include_str!("../../../../../fixtures/contigs/default.tsv")),
        (other, include_str!("../../../../../fixtures/contigs/other.tsv")),
    ] {
        // The order of the input differs from that of the table.
        let found = table(contigs.iter().rev(), rule);
        let rows = found.lines().zip(expected.lines());
        rows.for_each(|(found, expected)| assert_eq!(found, expected));
        assert_eq!(found.len(), expected.len());
    }
}

#[test]
fn rows_are_in_natural_order() {
    let strands = |virus| {
        let scores = Scores { other: 1.0 - virus, virus };
        let frame = ScoredFrame { frame: virpack_seq::Frame::R2, codons: 0..498, scores };
        vec![ScoredChunk { bases: 0..500, frames: vec![frame], whole: None }]
    };
    let ids = ["b10", "B9", "b9x", "a", "b010", "10", "9", "b", "é1", "b9", "\"q\""];
    let records: Vec<_> = (0..).zip(ids).map(|(index, id)| record(index, id, strands(0.9))).collect();
    let text = table(&records, ContigRule::default());
    let found: Vec<_> = text.lines().skip(1).map(|line| line.split('\t').next().unwrap()).collect();
    let sorted = ["9", "10", "\"\"\"q\"\"\"", "a", "b", "B9", "b9", "b9x", "b010", "b10", "é1"];
    assert_eq!(found, sorted);
}

#[test]
fn chunks_without_an_open_frame_do_not_count() {
    let scores = Scores { other: 0.1, virus: 0.9 };
    let whole = ScoredChunk { bases: 0..500, frames: Vec::new(), whole: Some(scores) };
    let records = [record(0, "a", vec![whole.clone(), whole])];
    assert_eq!(table(&records, ContigRule::default()), COLUMNS);
}
