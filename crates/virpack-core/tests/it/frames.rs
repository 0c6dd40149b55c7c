//! The two files of open frames equal, byte for byte, what VirNucPro cuts.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use virpack_core::{FramesOptions, frames};
use virpack_seq::{Record, reader};

use crate::naive;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/frames")
}

fn options(inputs: &[PathBuf], length: usize, prefix: PathBuf) -> FramesOptions {
    let inputs = inputs.iter().cloned().map(Into::into).collect();
    FramesOptions::new(inputs, prefix).length(NonZeroUsize::new(length).unwrap())
}

/// Returns the contents of the two files, and the numbers of records and frames.
fn run(inputs: &[PathBuf], length: usize) -> (String, String, u64) {
    let directory = tempfile::tempdir().unwrap();
    let summary = frames(&options(inputs, length, directory.path().join("out")), |_| ()).unwrap();
    let [nucleotides, proteins] = ["out_nucleotide.fa", "out_protein.faa"]
        .map(|name| std::fs::read_to_string(directory.path().join(name)).unwrap());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    assert_eq!(summary.frames, proteins.lines().count() as u64 / 2);
    (nucleotides, proteins, summary.records)
}

/// Hand-made cases, compared with `dev/frames.py`.
#[test]
fn hand_made_cases_are_those_of_the_python_script() {
    let cases = fixtures().join("cases.fa");
    for length in [60, 300, 500] {
        let (nucleotides, proteins, records) = run(std::slice::from_ref(&cases), length);
        let golden =
            |kind: &str| std::fs::read_to_string(fixtures().join(format!("{length}_{kind}"))).unwrap();
        assert_eq!(records, 36);
        assert!(nucleotides == golden("nucleotide.fa"), "nucleotides at {length}");
        assert!(proteins == golden("protein.faa"), "proteins at {length}");
    }
}

/// The two files of a record's frames: nucleotides and proteins.
fn naive_files(id: &str, sequence: &str, size: usize) -> (String, String) {
    let (mut nucleotides, mut proteins) = (String::new(), String::new());
    for (i, chunk) in naive::chunks(sequence.len(), size).into_iter().enumerate() {
        for (frame, nucleotide, protein) in naive::frames(&sequence[chunk]) {
            nucleotides += &format!(">{id}_chunk_{}{frame}\n{nucleotide}\n", i + 1);
            proteins += &format!(">{id}_chunk_{}{frame}\n{protein}\n", i + 1);
        }
    }
    (nucleotides, proteins)
}

/// Compares real genomes with the naive implementation of `virpack-seq`, which is slow: the beginning of
/// each record, up to a million bases of a file. `dev/frames.py` compares complete files.
#[test]
fn real_genomes_are_cut_as_naively() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nucleotide");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: {} is not here", folder.display());
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let excerpt = directory.path().join("excerpt.fa");
    for genome in entries.map(|entry| entry.unwrap().path()) {
        let mut records = reader::open(&[genome.clone().into()]).unwrap();
        let (mut record, mut all, mut text) = (Record::default(), Vec::new(), String::new());
        while text.len() < 1_000_000 && records.read(&mut record).unwrap() {
            record.sequence.truncate(250_011);
            let sequence = String::from_utf8(std::mem::take(&mut record.sequence)).unwrap();
            writeln!(text, ">{}\n{sequence}", record.id).unwrap();
            all.push((record.id.clone(), sequence));
        }
        std::fs::write(&excerpt, text).unwrap();
        for length in [300, 500] {
            let (nucleotides, proteins, _) = run(std::slice::from_ref(&excerpt), length);
            let mut naive = (String::new(), String::new());
            for (id, sequence) in &all {
                let (n, p) = naive_files(id, sequence, length);
                naive.0 += &n;
                naive.1 += &p;
            }
            assert!(naive.1.len() > 1_000, "{} has open frames", genome.display());
            assert!(nucleotides == naive.0, "{} at {length}", genome.display());
            assert!(proteins == naive.1, "{} at {length}", genome.display());
        }
    }
}

#[test]
fn several_inputs_follow_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let inputs = [write("b.fa", ">b\nGCC\n"), write("empty.fa", ""), write("a.fq", "@a\nGCA\n+\n!!!\n")];
    let (nucleotides, proteins, records) = run(&inputs, 300);
    assert_eq!(records, 2);
    assert_eq!(nucleotides, ">b_chunk_1F1\nGCC\n>b_chunk_1R1\nGGC\n>a_chunk_1F1\nGCA\n>a_chunk_1R1\nTGC\n");
    assert_eq!(proteins, ">b_chunk_1F1\nA\n>b_chunk_1R1\nG\n>a_chunk_1F1\nA\n>a_chunk_1R1\nC\n");
}

#[test]
fn what_fails_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in.fa");
    std::fs::write(&path, ">a\nGCC\n>p\nMKTLLVAGG\n").unwrap();
    let options = options(&[path], 300, directory.path().join("out"));
    let error = frames(&options, |_| ()).unwrap_err();
    assert!(error.to_string().contains("in.fa:3: record p is not a nucleotide sequence"), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    std::fs::write(directory.path().join("out_protein.faa"), "mine").unwrap();
    let error = frames(&options, |_| ()).unwrap_err();
    assert!(error.to_string().contains("out_protein.faa exists"), "{error}");
    std::fs::write(directory.path().join("in.fa"), ">a\nGCC\n").unwrap();
    frames(&options.force(true), |_| ()).unwrap();
    assert_ne!(std::fs::read_to_string(directory.path().join("out_protein.faa")).unwrap(), "mine");
}
