//! How fast records go from a file to packed batches, stage by stage, in one run.
//!
//! ```text
//! cargo bench -p virpack-seq --bench stream [-- FASTA]
//! ```
//!
//! Caveats: the file is read once before, so that it lies in the page cache: disks are not measured.
//! Without an argument, UniProt-like records (log-normal lengths, one line each, 256 MB) are written to a
//! temporary file. Every stage runs three times and the best counts; other work on the machine shows.
//! The consumer only counts tokens and so empties the queue at once: with a short queue (`prefetch` 4) every
//! batch wakes a thread, which costs more than making the batch. A model, being slower, never sees that.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use needletail::parser::{FastaReader, FastxReader};
use virpack_seq::{
    CollatorOptions, EsmTokenizer, GreedyPacker, LengthPolicy, LoaderItem, LoaderOptions, PackerOptions,
    Record, SeqError, TokenSlab, Tokenizer, VarlenCollator, create_async_dataloader, reader,
};

const RUNS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo itself passes `--bench`.
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let made = tempfile::tempdir()?;
    let path = match named {
        Some(path) => PathBuf::from(path),
        None => generate(made.path())?,
    };
    let bytes = std::io::copy(&mut File::open(&path)?, &mut std::io::sink())?;
    println!("{} ({:.2} GB, page cache warm), best of {RUNS}", path.display(), bytes as f64 / 1e9);
    rate("needletail alone", "residues", || bare(&path));
    rate("tokenizer alone", "residues", tokenizer_alone);
    rate("reader (cut, parse, copy)", "residues", || read(&path).expect("the benchmark's file reads"));
    rate("reader + tokenizer", "tokens", || tokenize(&path).expect("the benchmark's file reads"));
    for (token_budget, prefetch) in [(4096, 64), (16384, 64), (16384, 4)] {
        let name = format!("loader, budget {token_budget}, prefetch {prefetch}");
        rate(&name, "tokens", || load(&path, token_budget, prefetch).expect("the benchmark's file loads"));
    }
    Ok(())
}

/// Prints the best rate of a stage, which returns how many units it handled.
fn rate(stage: &str, unit: &str, mut run: impl FnMut() -> u64) {
    let best = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run() as f64 / start.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max);
    println!("{stage:34} {:8.0} M {unit}/s", best / 1e6);
}

fn bare(path: &Path) -> u64 {
    let mut reader = FastaReader::with_capacity(File::open(path).expect("it was just read"), 256 << 10);
    let mut residues = 0;
    while let Some(record) = reader.next() {
        residues += record.map_or(0, |record| black_box(record.seq()).len()) as u64;
    }
    residues
}

fn tokenizer_alone() -> u64 {
    let sequence: Vec<u8> = (0..453).map(|i| b"LAGVSERTIDPKQNFYMHWC"[i * 7 % 20]).collect();
    let mut tokens = Vec::new();
    let mut residues = 0;
    for i in 0..500_000 {
        if i % 1000 == 0 {
            tokens.clear();
        }
        residues += EsmTokenizer.tokenize(black_box(&sequence), usize::MAX, &mut tokens).residues as u64;
    }
    residues
}

fn read(path: &Path) -> Result<u64, SeqError> {
    let mut records = reader::open(&[path.to_path_buf().into()])?;
    let mut record = Record::default();
    let mut residues = 0;
    while records.read(&mut record)? {
        residues += black_box(&record.sequence).len() as u64;
    }
    Ok(residues)
}

fn tokenize(path: &Path) -> Result<u64, SeqError> {
    let mut records = reader::open(&[path.to_path_buf().into()])?;
    let mut record = Record::default();
    let (policy, mut slab, mut tokens) = (LengthPolicy::default(), TokenSlab::default(), 0);
    while records.read(&mut record)? {
        policy.apply(&EsmTokenizer, &record, &[], &mut slab)?;
        if slab.total_tokens() > 1 << 18 {
            tokens += slab.total_tokens() as u64;
            slab.clear();
        }
    }
    Ok(tokens + slab.total_tokens() as u64)
}

fn load(path: &Path, token_budget: usize, prefetch: usize) -> Result<u64, SeqError> {
    let records = reader::open(&[path.to_path_buf().into()])?;
    let options = LoaderOptions::default().prefetch(prefetch);
    let packer = GreedyPacker::new(PackerOptions::new(token_budget, options.lengths.max_tokens()))?;
    let collator = VarlenCollator::new(packer, CollatorOptions::default())?;
    let loader = create_async_dataloader(records, EsmTokenizer::new(), collator, options)?;
    let mut tokens = 0;
    for loaded in loader {
        if let LoaderItem::Batch(batch) = loaded? {
            tokens += black_box(batch).total_tokens() as u64;
        }
    }
    Ok(tokens)
}

/// Writes UniProt-like records: log-normal lengths, mean about 360.
fn generate(folder: &Path) -> std::io::Result<PathBuf> {
    let path = folder.join("generated.fasta");
    let mut file = BufWriter::new(File::create(&path)?);
    let mut state = 7u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let letters: Vec<u8> =
        (0..1 << 16).map(|_| b"LAGVSERTIDPKQNFYMHWC"[(uniform() * 20.0) as usize]).collect();
    let (mut written, mut number) = (0, 0);
    while written < 256 << 20 {
        let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        let length = ((5.7 + 0.6 * normal).exp() as usize).clamp(20, 30_000);
        let start = (uniform() * (letters.len() - length) as f64) as usize;
        writeln!(file, ">tr|A{number:07}|A{number:07}_GEN a protein OS=No organism PE=4 SV=1")?;
        file.write_all(&letters[start..start + length])?;
        file.write_all(b"\n")?;
        written += length + 60;
        number += 1;
    }
    file.flush()?;
    Ok(path)
}
