//! Packing: the packer against `seqpacker`, then what the collator makes of a stream.
//!
//! `cargo bench -p virpack-seq --bench pack`; one thread, a minute. Caveats: lengths are made, not
//! read; both packers start from a vector of lengths in memory and end with the sequence numbers of
//! every batch; the rival's input vector is made, and both results are dropped, outside the clock.
//! Rounds alternate, and medians are compared. The collator gets its tokens from memory: reading
//! and tokenizing are not in its figures.

#[path = "../tests/it/support/workload.rs"]
mod workload;

use std::time::{Duration, Instant};

use seqpacker::{PackStrategy, Packer, Sequence};
use virpack_seq::{
    Algorithm, CollatorOptions, GreedyPacker, PackWorkspace, PackerOptions, Packing, SeqError, SequenceIndex,
    VarlenCollator,
};

const ROUNDS: usize = 11;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scale = if std::env::args().any(|argument| argument == "--quick") { 10 } else { 1 };
    let million = 1_000_000 / scale;
    versus(&workload::uniprot_like(million), 16_384)?;
    println!();
    println!("streamed through VarlenCollator, buffer 2,000");
    println!(
        "{:<24} {:>7} {:>10} {:>10} {:>9} {:>9} {:>10} {:>9}",
        "load", "budget", "efficiency", "bound's", "batches", "resident", "records/s", "ns/token"
    );
    if let Some(lengths) = workload::uniprot_20k() {
        stream("uniprot_20k", &lengths, 4_096)?;
        stream("uniprot_20k", &lengths, 16_384)?;
    }
    let uniprot_like = workload::uniprot_like(million);
    stream("uniprot-like", &uniprot_like, 4_096)?;
    stream("uniprot-like", &uniprot_like, 16_384)?;
    stream("proteins 49-50", &workload::proteins(49, million), 16_384)?;
    stream("proteins 165-166", &workload::proteins(165, million), 4_096)?;
    Ok(())
}

/// Both packers on the same lengths, turn by turn.
fn versus(lengths: &[u32], budget: usize) -> Result<(), Box<dyn std::error::Error>> {
    println!("packing {} UniProt-like lengths, budget {budget}, one thread, {ROUNDS} rounds", lengths.len());
    let sequences: Vec<Sequence> =
        lengths.iter().enumerate().map(|(id, &length)| Sequence::new(id, length as usize)).collect();
    let pairs = [
        ("FFD", Algorithm::FirstFitDecreasing, PackStrategy::FirstFitDecreasing),
        ("BFD / OBFD", Algorithm::BestFitDecreasing, PackStrategy::OptimizedBestFitDecreasing),
    ];
    for (name, algorithm, strategy) in pairs {
        let packer = GreedyPacker::new(PackerOptions::new(budget, 1_024).algorithm(algorithm))?;
        let rival = Packer::new(budget).with_strategy(strategy);
        let (mut workspace, mut packing) = (PackWorkspace::default(), Packing::default());
        let (mut fresh, mut again, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut batches, mut their_batches) = (0, 0);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let result = packer.pack(lengths)?;
            fresh.push(start.elapsed());
            batches = result.len();

            let input = sequences.clone();
            let start = Instant::now();
            let result = rival.pack(input)?;
            theirs.push(start.elapsed());
            their_batches = result.packs.len();

            let start = Instant::now();
            packer.pack_into(lengths, &mut workspace, &mut packing)?;
            again.push(start.elapsed());
        }
        let (fresh, again, theirs) = (median(fresh), median(again), median(theirs));
        let rate = |time: Duration| lengths.len() as f64 / time.as_secs_f64() / 1e6;
        println!(
            "{name:<11} virpack {:6.1} M/s (buffers again {:6.1}), seqpacker {:5.1} M/s, ratio {:5.1} ({:5.1}); \
             batches {batches} against {their_batches}",
            rate(fresh),
            rate(again),
            rate(theirs),
            theirs.as_secs_f64() / fresh.as_secs_f64(),
            theirs.as_secs_f64() / again.as_secs_f64(),
        );
        assert!(batches <= their_batches, "more batches than the rival");
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A stream of records through the collator, every ready batch taken at once.
fn stream(name: &str, lengths: &[u32], budget: usize) -> Result<(), SeqError> {
    let longest = lengths.iter().copied().max().unwrap_or(1) as usize;
    let tokens: Vec<u16> = (0..longest as u16).map(|i| 4 + i % 20).collect();
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..3 {
        let packer = GreedyPacker::new(PackerOptions::new(budget, longest))?;
        let mut collator = VarlenCollator::new(packer, CollatorOptions::default())?;
        let index: Vec<SequenceIndex> = lengths.iter().enumerate().map(index).collect();
        let mut sum = 0;
        let start = Instant::now();
        for (&length, index) in lengths.iter().zip(index) {
            collator.push(&tokens[..length as usize], index)?;
            while let Some(batch) = collator.pop() {
                sum += batch.total_tokens();
            }
        }
        sum += collator.flush().iter().map(|batch| batch.total_tokens()).sum::<usize>();
        times.push(start.elapsed());
        last = Some((collator, sum));
    }
    let Some((collator, sum)) = last else { return Ok(()) };
    let (stats, time) = (collator.stats(), median(times).as_secs_f64());
    println!(
        "{name:<24} {budget:>7} {:>8.3} % {:>8.3} % {:>9} {:>9} {:>9.1}M {:>9.2}",
        100.0 * stats.efficiency(),
        100.0 * stats.best_efficiency(),
        stats.batches,
        collator.counters().most_waiting,
        lengths.len() as f64 / time / 1e6,
        time / sum as f64 * 1e9,
    );
    Ok(())
}

fn index((record, &length): (usize, &u32)) -> SequenceIndex {
    SequenceIndex::new(record as u64, format!("protein_{record}"), u64::from(length) - 2)
}
