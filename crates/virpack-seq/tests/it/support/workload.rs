//! Lengths to pack, for tests and benchmarks: the same on every machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// SplitMix64 (Steele, Lea & Flood 2014): small, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Tokens of proteins like UniProt's: exp(N(5.5, 0.65)) residues, 30 to 1,022, and two special tokens.
pub(crate) fn uniprot_like(n: usize) -> Vec<u32> {
    let mut random = Random(7);
    (0..n).map(|_| (5.5 + 0.65 * random.normal()).exp().round().clamp(30.0, 1022.0) as u32 + 2).collect()
}

/// Tokens of proteins of `from` or `from + 1` residues.
pub(crate) fn proteins(from: u32, n: usize) -> Vec<u32> {
    let mut random = Random(11);
    (0..n).map(|_| from + random.below(2) as u32 + 2).collect()
}

/// Returns the tokens of the 20,000 UniProt records beside the repository, truncated at 1,022 residues;
/// `None`, with a message, if they are missing.
pub(crate) fn uniprot_20k() -> Option<Vec<u32>> {
    let path: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/proteins/uniprot_20k.fasta.gz");
    let shared = std::env::var_os("VIRPACK_SHARED").map(PathBuf::from);
    let path = shared.map_or(path, |shared| shared.join("data/proteins/uniprot_20k.fasta.gz"));
    let output = Command::new("gzip").arg("-dc").arg(&path).output().ok();
    let Some(output) = output.filter(|output| output.status.success()) else {
        eprintln!("skipped: no {}", path.display());
        return None;
    };
    let mut lengths: Vec<u32> = Vec::new();
    for line in output.stdout.split(|&byte| byte == b'\n') {
        match line.first() {
            Some(b'>') => lengths.push(0),
            _ => *lengths.last_mut()? += line.trim_ascii_end().len() as u32,
        }
    }
    lengths.iter_mut().for_each(|length| *length = (*length).min(1022) + 2);
    Some(lengths)
}
