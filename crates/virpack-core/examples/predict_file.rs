//! Predicts which nucleotide sequences of a file are viral, with the built-in models and classifiers.
//!
//! `cargo run --release -p virpack-core --example predict_file -- INPUT DIRECTORY`, such as
//! `examples/contigs.fasta verdicts`. The directory then has the tables that `docs/reference/tables.md`
//! describes.

use virpack_core::CancelToken;
use virpack_core::model::mini;
use virpack_core::predict::{Bundle, PredictOptions, predict};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, directory] = &arguments[..] else {
        return Err("usage: predict_file INPUT DIRECTORY".into());
    };
    let built_in = Bundle::open(&mini::location())?;
    let options = PredictOptions::with_bundle(vec![input.as_str().into()], &built_in, None, directory);
    let predicted = predict(&options, &CancelToken::new(), |_event| ())?;
    let counts = &predicted.calls.counts;
    println!(
        "{} of {} records are viral: see {directory}/sequences.tsv",
        counts.viral.records, counts.records
    );
    Ok(())
}
