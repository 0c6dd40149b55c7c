//! Synthetic records, for measurements without input files.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

/// The lengths of synthetic records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// 165 or 166 residues: open frames of 500-base chunks.
    Orf,
    /// Log-normal as in UniProt, 30 to 1,022 residues.
    Prot,
    /// 49 or 50 residues: frames of 150-base reads.
    Reads,
}

impl Load {
    /// Returns the fewest residues of a record.
    pub fn shortest(self) -> usize {
        match self {
            Load::Orf => 165,
            Load::Prot => 30,
            Load::Reads => 49,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Load::Orf => "orf",
            Load::Prot => "prot",
            Load::Reads => "reads",
        })
    }
}

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "orf" => Ok(Load::Orf),
            "prot" => Ok(Load::Prot),
            "reads" => Ok(Load::Reads),
            _ => Err("expected orf, prot or reads".to_owned()),
        }
    }
}

/// A FASTA file of random proteins.
#[derive(Debug)]
pub struct SyntheticFasta {
    load: Load,
    state: u64,
    /// Tokens that remain to be made, special tokens included.
    left: u64,
    records: u64,
    /// Text that was made and not yet read.
    text: Vec<u8>,
    read: usize,
}

/// Residues in such numbers that a random byte selects one with two shifts.
const LETTERS: &[u8; 32] = b"ACDEFGHIKLMNPQRSTVWYALGVESRTIDPK";

/// Records made at a time.
const AT_ONCE: usize = 64;

impl SyntheticFasta {
    /// Returns records of `load` with a total of `tokens` tokens, special tokens included. Another seed
    /// gives other records.
    pub fn new(load: Load, tokens: u64, seed: u64) -> Self {
        SyntheticFasta { load, state: seed, left: tokens, records: 0, text: Vec::new(), read: 0 }
    }

    /// splitmix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.random() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn residues(&mut self) -> usize {
        match self.load {
            Load::Orf => 165 + usize::from(self.unit() < 0.34),
            Load::Reads => 49 + usize::from(self.unit() >= 0.34),
            Load::Prot => {
                let (u, v) = (self.unit().max(1e-300), self.unit());
                let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
                ((5.5 + 0.65 * normal).exp() as usize).clamp(30, 1022)
            }
        }
    }

    fn make(&mut self) {
        self.text.clear();
        self.read = 0;
        for _ in 0..AT_ONCE {
            if self.left == 0 {
                return;
            }
            self.text.extend_from_slice(format!(">s{}\n", self.records).as_bytes());
            self.records += 1;
            let mut left = self.residues();
            self.left = self.left.saturating_sub(left as u64 + 2);
            while left > 0 {
                let (bits, letters) = (self.random(), left.min(12));
                self.text.extend((0..letters).map(|i| LETTERS[(bits >> (5 * i)) as usize % LETTERS.len()]));
                left -= letters;
            }
            self.text.push(b'\n');
        }
    }
}

impl Read for SyntheticFasta {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() {
            self.make();
        }
        let count = (&self.text[self.read..]).read(to)?;
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_lengths_of_their_load() {
        for (load, range, mean) in
            [(Load::Orf, 165..=166, 165.3), (Load::Reads, 49..=50, 49.7), (Load::Prot, 30..=1022, 290.0)]
        {
            let mut text = vec![0; 1 << 20];
            SyntheticFasta::new(load, 1 << 22, 1).read_exact(&mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            let mut lengths: Vec<usize> =
                text.lines().filter(|l| !l.starts_with('>')).map(str::len).collect();
            // The last one is cut.
            lengths.pop();
            assert!(lengths.iter().all(|l| range.contains(l)), "{load:?}");
            let found = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
            assert!((found / mean - 1.0).abs() < 0.05, "{load:?}: mean {found}");
        }
    }

    #[test]
    fn it_ends_with_the_record_that_makes_its_tokens() {
        for (tokens, records) in [(0, 0), (1, 1), (102, 2), (50_000, 980)] {
            let mut text = String::new();
            SyntheticFasta::new(Load::Reads, tokens, 1).read_to_string(&mut text).unwrap();
            let found = text.lines().count() / 2;
            assert!(text.is_empty() || text.ends_with('\n'));
            assert!(found.abs_diff(records) <= records / 50, "{tokens} tokens: {found} records");
        }
    }
}
