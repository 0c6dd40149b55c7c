//! Packs lengths for another engine: reads one length per line, and writes one batch per line.
//!
//! ```text
//! printf '30\n60\n50\n40\n20\n' | cargo run -p virpack-seq --example pack_lengths -- 100
//! ```
//!
//! The argument is the token budget. A line of the output has the positions, from 0, of the lengths
//! that share a batch: here `1 3` and `2 0 4`. Lengths count tokens, special tokens included. The
//! last line, on standard error, says how full the batches are.

use std::error::Error;
use std::io::{self, BufRead, Write};

use virpack_seq::{GreedyPacker, PackStats, PackerOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let budget = std::env::args().nth(1).ok_or("usage: pack_lengths TOKEN_BUDGET < LENGTHS")?.parse()?;
    let stats = pack(budget, io::stdin().lock(), io::stdout().lock())?;
    eprintln!(
        "{} sequences in {} batches, {:.1} % full; no packing has fewer than {}",
        stats.sequences,
        stats.batches,
        100.0 * stats.efficiency(),
        stats.lower_bound
    );
    Ok(())
}

fn pack(budget: usize, input: impl BufRead, mut output: impl Write) -> Result<PackStats, Box<dyn Error>> {
    let mut lengths: Vec<u32> = Vec::new();
    for (number, line) in (1..).zip(input.lines()) {
        let length = line?.trim().parse();
        lengths.push(length.map_err(|error| format!("line {number}: {error}"))?);
    }
    let longest = lengths.iter().copied().max().unwrap_or(1) as usize;
    let packer = GreedyPacker::new(PackerOptions::new(budget, longest))?;
    let packing = packer.pack(&lengths)?;
    for batch in &packing {
        let positions: Vec<String> = batch.iter().map(u32::to_string).collect();
        writeln!(output, "{}", positions.join(" "))?;
    }
    Ok(packer.stats(&lengths, &packing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_batch() {
        let mut out = Vec::new();
        let stats = pack(100, &b"30\n60\n50\n40\n20\n"[..], &mut out).unwrap();
        assert_eq!(out, b"1 3\n2 0 4\n");
        assert_eq!((stats.batches, stats.efficiency()), (2, 1.0));
    }

    #[test]
    fn a_line_that_is_not_a_length_is_named() {
        let error = pack(100, &b"30\nx\n"[..], io::sink()).unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{error}");
        assert!(pack(100, &b"101\n"[..], io::sink()).is_err());
    }
}
