//! Compares ESM-2 on the CPU with what a user would run instead, in one run.
//!
//! ```text
//! cargo bench -p virpack-core --bench esm2_cpu -- [SIZES] [--peer SCRIPT] [--python PYTHON]
//! ```
//!
//! `SIZES` is a list such as `8M,35M,150M` (the default). Random weights of the real shapes, float32, batches
//! of 4,096 tokens, sequences in memory to mean embeddings on the host: tokenizing, packing and pooling are
//! in the time, loading is not. `SCRIPT` (default `../shared/peers/esm2_cpu.py`) runs fair-esm and Hugging
//! Face on as many sequences of the same lengths, sorted and padded; without it, only virpack is measured.
//! virpack runs before and after the peers and the slower of the two counts, so that a machine that changes
//! its speed does not flatter it. On a shared machine trust the ratios, not the rates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use virpack_core::device::Cpu;
use virpack_core::model::Esm2;
use virpack_core::model::Esm2Config;
use virpack_core::model::RandomTensors;
use virpack_core::{AsyncInferenceRunner, RunnerItem, RunnerOptions};
use virpack_seq::{
    AsyncDataLoader, CollatorOptions, EsmTokenizer, GreedyPacker, LoaderOptions, PackerOptions, Records,
    VarlenCollator,
};

/// Name, layers, hidden, heads and sequences, in the format of the peers' script.
const SIZES: [(&str, usize, usize, usize, usize); 4] = [
    ("8M", 6, 320, 20, 1200),
    ("35M", 12, 480, 20, 400),
    ("150M", 30, 640, 20, 100),
    ("650M", 33, 1280, 20, 24),
];

fn main() {
    let mut sizes = "8M,35M,150M".to_owned();
    let mut peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peers/esm2_cpu.py");
    let mut python = PathBuf::from("python3");
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--peer" => peer = arguments.next().expect("--peer takes a path").into(),
            "--python" => python = arguments.next().expect("--python takes a path").into(),
            _ => sizes = argument,
        }
    }
    let cpu = Arc::new(Cpu::new(None).expect("threads start"));
    println!("{} threads, {}", cpu.threads(), cpu.instructions());
    for size in sizes.split(',') {
        let shape = SIZES.iter().find(|s| s.0 == size).unwrap_or_else(|| panic!("no size {size}"));
        let before = ["orf", "prot"].map(|load| rate(&cpu, shape, load));
        let peers = if peer.is_file() { run_peer(&python, &peer, size) } else { String::new() };
        let after = ["orf", "prot"].map(|load| rate(&cpu, shape, load));
        for (i, load) in ["orf", "prot"].into_iter().enumerate() {
            let ours = before[i].min(after[i]);
            println!("{size} {load} virpack: {:.0} tok/s (runs: {:.0}, {:.0})", ours, before[i], after[i]);
            for line in peers.lines().filter(|line| line.starts_with(&format!("{size} {load} "))) {
                let (name, figures) = line.split_once(": ").expect("the peer prints NAME: RATE");
                let theirs: f64 = figures.split(' ').next().and_then(|r| r.parse().ok()).expect("a rate");
                println!("{name}: {theirs:.0} tok/s; virpack is {:.2} x", ours / theirs);
            }
        }
    }
    if !peer.is_file() {
        println!("no peers: {} is not there", peer.display());
    }
}

fn run_peer(python: &Path, peer: &Path, size: &str) -> String {
    let output = Command::new(python).arg(peer).arg(size).output().expect("the peer's python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the peer prints UTF-8")
}

/// Tokens per second, special tokens included.
fn rate(cpu: &Arc<Cpu>, shape: &(&str, usize, usize, usize, usize), load: &str) -> f64 {
    let &(_, layers, hidden, heads, sequences) = shape;
    let config = Esm2Config::published(layers, hidden, heads);
    let model = Arc::new(Esm2::build(&**cpu, config, &RandomTensors { seed: 1 }).expect("random weights"));
    let run = |fasta: String| {
        let records = Records::from_reader("bench", std::io::Cursor::new(fasta)).expect("FASTA");
        let packer = GreedyPacker::new(PackerOptions::new(4096, 1024)).expect("a budget that fits");
        let collator = VarlenCollator::new(packer, CollatorOptions::default()).expect("a buffer");
        let start = Instant::now();
        let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, LoaderOptions::default())
            .expect("threads start");
        let options = RunnerOptions::new(layers);
        let device = (Arc::clone(cpu), Arc::clone(&model));
        let runner = AsyncInferenceRunner::new(vec![device], loader.clone(), options).expect("runs");
        let mut rows = 0;
        for finished in runner {
            if let RunnerItem::Embeddings(embeddings) = finished.expect("finite embeddings") {
                rows += embeddings.rows.len();
                std::hint::black_box(embeddings.values);
            }
        }
        let rate = loader.counters().tokens as f64 / start.elapsed().as_secs_f64();
        (rows, rate)
    };
    run(fasta(load, 8));
    let (rows, rate) = run(fasta(load, sequences));
    assert_eq!(rows, sequences, "every record has an embedding");
    rate
}

/// The lengths of the peers: `orf` 165 or 166 residues, `prot` log-normal (5.5, 0.65) within 30 and 1,022.
fn fasta(load: &str, sequences: usize) -> String {
    let mut state = 12_345u64;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut text = String::new();
    for i in 0..sequences {
        let length = if load == "orf" {
            if uniform() < 0.34 { 166 } else { 165 }
        } else {
            // The Box-Muller transform.
            let normal = (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
            (5.5 + 0.65 * normal).exp().clamp(30.0, 1022.0) as usize
        };
        text += &format!(">s{i}\n");
        text.extend((0..length).map(|_| b"ACDEFGHIKLMNPQRSTVWY"[(uniform() * 20.0) as usize] as char));
        text.push('\n');
    }
    text
}
