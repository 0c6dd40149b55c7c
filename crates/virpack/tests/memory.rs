//! Memory is determined by the model and one buffer, however long the input is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(target_os = "linux")]

#[path = "it/support.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::time::Duration;
use support::{Place, read_npy};

/// Returns the peak resident set of `virpack embed INPUT -o out/emb.npy` in bytes.
fn peak(place: &Place, input: &str, model: &str, more: &[&str]) -> u64 {
    peak_of(place, input, model, "out/emb.npy", more)
}

/// Returns that of `virpack embed INPUT -o OUTPUT`: the kernel's own high-water mark, read until the
/// process ends.
fn peak_of(place: &Place, input: &str, model: &str, output: &str, more: &[&str]) -> u64 {
    let arguments = ["embed", input, "-m", model, "-o", output, "--threads", "2", "--force", "-q"];
    let mut child = place.command(&[&arguments, more].concat()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let code = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            peak = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
        }
        if let Some(code) = child.try_wait().unwrap() {
            break code;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(code.success());
    peak
}

/// A FASTA file of `records` proteins of 8 to 39 residues.
fn generate(path: &Path, records: u32) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let letters = b"MKTAYIAKQRLLVGGTSPEDWHNCFVMKTAYIAKQRLLVGGTSPEDWHNCFVMKTAYIAKQRLL";
    for i in 0..records {
        let hash = i.wrapping_mul(2_654_435_761) >> 16;
        let (start, length) = ((hash % 24) as usize, 8 + (hash / 24 % 32) as usize);
        writeln!(out, ">r{i}").unwrap();
        out.write_all(&letters[start..start + length]).unwrap();
        out.write_all(b"\n").unwrap();
    }
}

fn few_and_many(few: u32, many: u32) {
    let place = Place::new();
    let peak = |records: u32| {
        generate(&place.path("input.fa"), records);
        let peak = peak(&place, "input.fa", support::MODEL, &[]);
        eprintln!("{records} records: peak {:.1} MB", peak as f64 / 1e6);
        assert_eq!(read_npy(&place.path("out/emb.npy")).0, records as usize);
        peak
    };
    let (low, high) = (peak(few), peak(many));
    assert!(high < low + 40_000_000, "{low} bytes for {few} records, {high} for {many}");
}

#[test]
fn memory_does_not_grow_with_the_input() {
    few_and_many(1_000, 200_000);
}

/// Rows of every residue, of few records and of many, in every format that holds them, from a model's first
/// layer.
fn residues(few: u32, many: u32) {
    for ending in ["parquet", "arrows", "safetensors", "h5"] {
        let place = Place::new();
        let peak = |records: u32| {
            generate(&place.path("input.fa"), records);
            let more = ["--pool", "none", "--layer", "1"];
            let peak = peak_of(&place, "input.fa", support::MODEL, &format!("out/emb.{ending}"), &more);
            let bytes: u64 =
                place.outputs().iter().map(|name| place.path(&format!("out/{name}"))).map(size).sum();
            eprintln!("{ending}: {records} records, {bytes} bytes: peak {:.1} MB", peak as f64 / 1e6);
            peak
        };
        let (low, high) = (peak(few), peak(many));
        assert!(high < low + 40_000_000, "{ending}: {low} bytes for {few} records, {high} for {many}");
    }
}

fn size(path: std::path::PathBuf) -> u64 {
    path.metadata().unwrap().len()
}

#[test]
fn memory_does_not_grow_with_residues_that_keep_their_rows() {
    residues(20_000, 60_000);
}

/// `cargo test --release -p virpack --test memory -- --ignored --nocapture gigabytes`
#[test]
#[ignore = "writes 5 GB of values in each of four formats, one after the other"]
fn memory_does_not_grow_with_five_gigabytes() {
    residues(50_000, 1_150_000);
}

#[test]
fn memory_does_not_grow_with_the_length_of_a_record_in_windows() {
    let place = Place::new();
    let peak = |residues: usize| {
        let mut text = b">long\n".to_vec();
        text.extend(b"MKTAYIAKQRLLVGGTSPED".iter().cycle().take(residues));
        place.write("input.fa", text);
        let peak = peak(&place, "input.fa", support::MODEL, &["--long-records", "window"]);
        eprintln!("{residues} residues: peak {:.1} MB", peak as f64 / 1e6);
        peak
    };
    let (low, high) = (peak(20_000), peak(500_000));
    assert!(high < low + 40_000_000, "{low} bytes for 20,000 residues, {high} for 500,000");
}

/// `cargo test --release -p virpack --test memory -- --ignored --nocapture million`
#[test]
#[ignore = "half a minute in the release profile, minutes in the dev profile"]
fn memory_does_not_grow_with_a_million_records() {
    few_and_many(1_000, 1_000_000);
}

/// The real 8M model takes its weights and at most 400 MB.
///
/// `cargo test --release -p virpack --test memory -- --ignored --nocapture real`
#[test]
#[ignore = "needs the shared models and data, and minutes in the dev profile"]
fn the_real_8m_model_takes_its_weights_and_400_mb() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let model = shared.join("models/esm2_t6_8M_finetuned");
    let data = shared.join("data/proteins/uniprot_20k.fasta.gz");
    if !model.exists() || !data.exists() {
        eprintln!("skipped: no {} or {}", model.display(), data.display());
        return;
    }
    let place = Place::new();
    let mut text = String::new();
    let mut reader = flate2::read::MultiGzDecoder::new(std::fs::File::open(data).unwrap());
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    let end = text.match_indices("\n>").nth(1_999).map_or(text.len(), |(at, _)| at + 1);
    place.write("input.fa", &text[..end]);
    let peak = peak(&place, "input.fa", model.to_str().unwrap(), &[]);
    let weights: u64 = 7_408_960 * 4;
    eprintln!("8M, 2000 records: peak {:.1} MB, weights {:.1} MB", peak as f64 / 1e6, weights as f64 / 1e6);
    assert_eq!(read_npy(&place.path("out/emb.npy")).0, 2_000);
    assert!(peak < weights + 400_000_000);
}
