//! How fast bases become open reading frames: chunks of 500, six frames each, reverse complements included.
//!
//! ```text
//! cargo bench -p virpack-seq --bench frames [-- FASTA]
//! ```
//!
//! Caveats: one thread, sequences in memory, best of five; other work on the machine shows. A
//! random genome closes most frames early; the other loads have no stop codon in any frame, the
//! most work there is. With FASTA (plain or compressed) its records are a load too, and then all
//! that comes before the models of `virpack predict`: reading, frames, both strands of chunks
//! without one, repeats, the tokens of the built-in models, batches of 131,072 tokens. That is a
//! thread for all but the batches, two for these.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use virpack_seq::frames::{ChunkReading, EncoderInput, FrameOptions, Pair, create_frame_loader};
use virpack_seq::{
    BpeTokenizer, CollatorOptions, EsmTokenizer, GeneticCode, GreedyPacker, PackerOptions, Record, Tokenizer,
    Translator, VarlenCollator, chunks, reader,
};

const RUNS: usize = 5;
const BASES: usize = 16 << 20;
const CHUNK: NonZeroUsize = NonZeroUsize::new(500).expect("it is not zero");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("best of {RUNS}, one thread, chunks of {CHUNK} bases");
    let mut state = 7u64;
    let mut random = |letters: &[u8]| -> Vec<u8> {
        let mut letter = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            letters[(state >> 40) as usize % letters.len()]
        };
        (0..BASES).map(|_| letter()).collect()
    };
    // Without T no codon is a stop, and the other strand has no A for TAA, TAG or TGA.
    let open = random(b"CG");
    rate("random genome", &[random(b"ACGT")]);
    rate("all six frames open", &[open]);
    rate("lower case, 1 % N", &[random(&[b"acgt".repeat(25), b"n".to_vec()].concat())]);
    // Cargo itself passes `--bench`.
    if let Some(path) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) {
        let mut records = reader::open(&[path[..].into()])?;
        let (mut record, mut all) = (Record::default(), Vec::new());
        while records.read(&mut record)? {
            all.push(std::mem::take(&mut record.sequence));
        }
        rate(&path, &all);
        drop(all);
        loader_rate(&path)?;
    }
    Ok(())
}

/// Prints the best rate at which a file becomes batches for both models.
fn loader_rate(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let (mut best, mut chunks) = (f64::INFINITY, 0);
    for _ in 0..RUNS {
        let start = Instant::now();
        chunks = load(path)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{chunks} chunks packed for both models: {:.0} thousand chunks/s", chunks as f64 / best / 1e3);
    Ok(())
}

/// Takes all batches of a file, discards them, and returns the number of chunks.
fn load(path: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let words =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../virpack-model/virpack-mini/nucleotide/tokenizer.json");
    let encoder = |tokenizer: Arc<dyn Tokenizer>, longest: usize| -> Result<_, Box<dyn std::error::Error>> {
        let packer = GreedyPacker::new(PackerOptions::new(131_072, longest))?;
        Ok(Some(EncoderInput {
            tokenizer,
            collator: VarlenCollator::new(packer, CollatorOptions::default())?,
        }))
    };
    let encoders = Pair {
        nucleotide: encoder(Arc::new(BpeTokenizer::open(&words)?), CHUNK.get() + 2)?,
        protein: encoder(Arc::new(EsmTokenizer::new()), CHUNK.get() / 3 + 2)?,
    };
    let options = FrameOptions::new(CHUNK)
        .reading(ChunkReading::OpenFrames { frames: Pair { nucleotide: true, protein: true }, strands: true })
        .most_waiting(u64::MAX);
    let records = reader::open(&[path.into()])?;
    let loader = create_frame_loader(records, encoders, options)?;
    thread::scope(|scope| {
        for batches in loader.batches().present() {
            scope.spawn(move || while batches.receive().is_some_and(|batch| batch.is_ok()) {});
        }
        loader.items().iter().for_each(|items| drop(black_box(items)));
    });
    Ok(loader.counters().chunks)
}

/// Prints the best rate over some sequences, and how many frames they gave.
fn rate(load: &str, sequences: &[Vec<u8>]) {
    let bases: usize = sequences.iter().map(Vec::len).sum();
    let mut translator = Translator::new(GeneticCode::STANDARD);
    let (mut best, mut frames) = (f64::INFINITY, 0);
    for _ in 0..RUNS {
        let start = Instant::now();
        frames = 0;
        for sequence in sequences {
            for chunk in chunks(sequence.len(), CHUNK) {
                frames += translator.frames(black_box(&sequence[chunk])).map(black_box).count();
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{load:24} {:8.0} MB/s of bases, {frames} frames", bases as f64 / best / 1e6);
}
