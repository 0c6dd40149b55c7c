//! Options that say what is read, packed and cut; shared by `embed` and `pack`.

use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use virpack_seq::{Input, LengthPolicy, LongRecords};

/// Inputs, lengths and packing.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// FASTA or FASTQ files, plain or compressed (gzip, zstd, bzip2, xz); `-` is stdin
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Most residues of a record that go through
    #[arg(long, value_name = "N", default_value_t = LengthPolicy::default().max_length)]
    max_length: usize,

    /// Fewest residues of a record; shorter ones are left out and listed
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_length: usize,

    /// What becomes of records over --max-length
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Long::Truncate)]
    long_records: Long,

    /// Residues that neighbouring windows share, with --long-records window [default: 128, at most half of --max-length]
    #[arg(long, value_name = "N")]
    window_overlap: Option<usize>,

    /// Records collected before packing [default: 2000, or more where the token budget is large]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) buffer_size: Option<NonZeroUsize>,
}

/// The policies for long records.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Long {
    /// Keep the beginning (N-terminal side), flagged in the output
    Truncate,
    /// Overlapping windows, averaged where they overlap, so that the whole record counts
    Window,
    /// Leave them out and list them
    Skip,
    /// Stop at the first
    Error,
}

impl Inputs {
    pub(crate) fn inputs(&self) -> Vec<Input> {
        self.inputs.iter().cloned().map(Input::from).collect()
    }

    /// The policy for lengths.
    pub(crate) fn lengths(&self) -> Result<LengthPolicy, Failure> {
        if self.window_overlap.is_some() && !matches!(self.long_records, Long::Window) {
            return Err(Failure::OverlapWithoutWindows);
        }
        let overlap = LongRecords::DEFAULT_OVERLAP.min(self.max_length / 2);
        let long_records = match self.long_records {
            Long::Truncate => LongRecords::Truncate,
            Long::Window => LongRecords::Window { overlap: self.window_overlap.unwrap_or(overlap) },
            Long::Skip => LongRecords::Skip,
            Long::Error => LongRecords::Error,
        };
        Ok(LengthPolicy { max_length: self.max_length, min_length: self.min_length, long_records })
    }
}

/// A token budget: a number, or the largest that fits and helps.
pub(crate) fn parse_budget(text: &str) -> Result<Option<usize>, String> {
    match text {
        "auto" => Ok(None),
        number => number.parse().map(Some).map_err(|_| "expected a number of tokens, or `auto`".to_owned()),
    }
}

/// A number of at least one: clap's own message speaks of types.
pub(crate) fn parse_count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number, at least 1".to_owned())
}
