use super::*;
use crate::calls::chunk::ScoredChunk;
use crate::calls::judged::{RecordFacts, judge};
use crate::calls::scores::Scores;
use crate::calls::scoring::RecordScoring;

/// A record of chunks of 500 bases without calibration: all cellular but for those of `viral`.
fn judged(index: u64, id: &str, description: &str, viral: std::ops::Range<usize>) -> (JudgedRecord, Vec<u8>) {
    let chunk = |i: usize| {
        let virus = if viral.contains(&i) { 0.97 } else { 0.05 };
        let whole = Some(Scores { other: 1.0 - virus, virus });
        ScoredChunk { bases: 500 * i..500 * i + 500, frames: Vec::new(), whole }
    };
    let (id, description) = (id.into(), description.to_owned());
    let facts = RecordFacts { index, id, description, source: 1, length: 100_000, is_left_out: false };
    let letters = (0..100_000).map(|i: usize| b"ACGT"[i * 7 / 5 % 4]).collect();
    let chunks = (0..200).map(chunk).collect();
    (judge(facts, chunks, &CallOptions::default(), &RecordScoring::new(None, 500)), letters)
}

/// The files of a run without calibration, VirNucPro's or pictures.
fn create(directory: &Path, inputs: &[Input]) -> CallTables {
    let (options, scoring) = (CallOptions::default(), RecordScoring::new(None, 500));
    CallTables::create(directory, inputs, &options, &scoring, true).unwrap()
}

/// The members of `run.json` that a page needs.
fn run() -> Map<String, Value> {
    let run = serde_json::json!({
        "virpack": "0", "models": {"name": "m", "protein": "p", "nucleotide": "n"}, "seconds": {"all": 1.0},
        "options": {"length": 500, "genetic_code": 1},
    });
    run.as_object().unwrap().clone()
}

/// What an id and a description may hold.
const HOSTILE: [(&str, &str); 8] = [
    ("", ""),
    ("NC_1.1", "Escherichia phage, complete"),
    ("#comment", "a\tb"),
    ("track", ">second\u{2028}header"),
    ("browser", "x\u{0}y"),
    (">gt;ID=1", "\"quoted\""),
    ("a%09b&c,d=e", "é\u{202e}"),
    ("\u{1b}[31m\u{85}", "line\rend"),
];

#[test]
fn whatever_an_id_holds_a_row_is_a_row_in_every_file() {
    let directory = tempfile::tempdir().unwrap();
    let inputs = [Input::from("one.fa"), Input::from("two.fa")];
    let mut tables = create(directory.path(), &inputs);
    for (index, (id, description)) in (0..).zip(HOSTILE) {
        let (record, letters) = judged(index, id, description, 50..90);
        assert_eq!((record.call, record.regions.len()), (Some(Call::Cellular), 1));
        tables.add(&record, &letters).unwrap();
        let (viral, letters) = judged(index + 100, id, description, 0..200);
        assert_eq!(viral.call, Some(Call::Viral));
        tables.add(&viral, &letters).unwrap();
    }
    assert_eq!(tables.names().len(), 9);
    tables.complete(&run()).unwrap().unwrap().whole.into_iter().for_each(|mut file| file.publish().unwrap());
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let is_plain = |text: &str| {
        let odd = |c: char| (c.is_control() && !"\t\n".contains(c)) || "\u{2028}\u{202e}".contains(c);
        !text.contains(odd)
    };
    for (name, columns, lines) in [
        ("sequences.tsv", 15, 17),
        ("chunks.tsv", 11, 3_201),
        ("regions.tsv", 11, 17),
        ("proviruses.bed", 6, 8),
        ("proviruses.gff3", 9, 9),
        ("proviruses.fna", 1, 16),
        ("viral.fna", 1, 16),
    ] {
        let text = read(name);
        assert!(is_plain(&text), "{name}: {text:?}");
        let rows: Vec<_> = text.lines().filter(|line| !line.starts_with("##")).collect();
        assert_eq!(text.lines().count(), lines, "{name}");
        assert!(rows.iter().all(|row| row.split('\t').count() == columns), "{name}: {text}");
    }
    for line in read("proviruses.bed").lines() {
        let cells: Vec<_> = line.split('\t').collect();
        assert!(!line.starts_with(['#', '\t']) && !["track", "browser"].contains(&cells[0]), "{line}");
        assert_eq!((cells[1], cells[2], cells[5]), ("25000", "45000", "."));
        assert!((0..=1_000).contains(&cells[4].parse().unwrap()));
    }
    for (number, line) in read("proviruses.gff3").lines().skip(1).enumerate() {
        let cells: Vec<_> = line.split('\t').collect();
        assert!(!line.starts_with(['#', '>', '\t']) && line.is_ascii(), "{line}");
        assert_eq!((cells[2], cells[3], cells[4]), ("prophage", "25001", "45000"));
        let attributes: Vec<_> = cells[8].split(';').map(|pair| pair.split('=').count()).collect();
        assert_eq!(attributes, [2, 2], "{line}");
        assert!(cells[8].starts_with(&format!("ID=provirus{number}.1;")), "{line}");
    }
    for (name, bases) in [("proviruses.fna", 20_000), ("viral.fna", 100_000)] {
        for (i, line) in read(name).lines().enumerate() {
            assert!(if i % 2 == 0 { line.starts_with('>') } else { line.len() == bases }, "{name}");
        }
    }
    let regions = read("regions.tsv");
    let kinds: Vec<_> = regions.lines().skip(1).map(|row| row.split('\t').nth(3).unwrap()).collect();
    assert_eq!(kinds, ["provirus", "viral"].repeat(8));
    assert!(regions.contains("NC_1.1\ttwo.fa\t1\tprovirus\t25001\t45000\t40\t40\t"), "{regions}");
    assert!(regions.contains("\t0.9700\t1\n"), "{regions}");
}

#[test]
fn the_best_are_named_the_first_of_equal_ones_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut tables = create(directory.path(), &[]);
    for (index, viral) in [120, 200, 150, 200, 110, 180, 160, 170, 190, 20].into_iter().enumerate() {
        let (record, letters) = judged(index as u64, &format!("r{index}"), "", 0..viral);
        tables.add(&record, &letters).unwrap();
    }
    let ids = |list: &[crate::calls::NotedRecord]| list.iter().map(|r| r.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&tables.best.viral), ["r1", "r3", "r8", "r5", "r7"]);
    assert_eq!(ids(&tables.best.uncertain), ["r0", "r4"]);
    assert_eq!((tables.counts.viral.records, tables.counts.uncertain.records), (7, 2));
    assert_eq!(tables.counts.cellular.records, 1);
    assert_eq!(tables.best.viral[0].chunks, 200);
}
