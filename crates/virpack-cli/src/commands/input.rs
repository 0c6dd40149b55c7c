//! Options that say what is read, packed and cut; shared by `embed` and `pack`.

use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use virpack_seq::{Input, LengthPolicy, LongRecords};

/// Inputs, lengths and packing.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// FASTA or FASTQ files, plain or compressed (gzip, zstd, bzip2, xz); `-` is stdin
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,

    /// Most residues of a record that go through
    #[arg(long, value_name = "N", default_value_t = LengthPolicy::default().max_length)]
    max_length: usize,

    /// Fewest residues of a record; shorter ones are left out and listed
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_length: usize,

    /// What becomes of records over --max-length
    #[arg(long, value_enum, default_value_t = Long::Truncate)]
    long_records: Long,

    /// Residues that neighbouring windows share [default: 128, at most half of --max-length]
    #[arg(long, value_name = "N")]
    window_overlap: Option<usize>,

    /// Records collected before packing
    #[arg(long, value_name = "N", default_value = "2000")]
    pub(crate) buffer_size: NonZeroUsize,
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
        self.inputs.iter().map(|name| Input::from(name.as_str())).collect()
    }

    pub(crate) fn lengths(&self) -> LengthPolicy {
        let overlap = LongRecords::DEFAULT_OVERLAP.min(self.max_length / 2);
        let long_records = match self.long_records {
            Long::Truncate => LongRecords::Truncate,
            Long::Window => LongRecords::Window { overlap: self.window_overlap.unwrap_or(overlap) },
            Long::Skip => LongRecords::Skip,
            Long::Error => LongRecords::Error,
        };
        LengthPolicy { max_length: self.max_length, min_length: self.min_length, long_records }
    }
}

/// A token budget: a number, or the largest that fits and helps.
pub(crate) fn parse_budget(text: &str) -> Result<Option<usize>, String> {
    match text {
        "auto" => Ok(None),
        number => number.parse().map(Some).map_err(|_| "expected a number of tokens, or `auto`".to_owned()),
    }
}
