//! Options that say what is read, packed and cut; shared by `embed` and `pack`.

use super::limits::LimitArguments;
use crate::failure::Failure;
use crate::values::{parse_count, parse_whole};
use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use virpack_core::model::hub::{Refetch, load_again};
use virpack_core::model::weights::Weights;
use virpack_core::model::{Location, ModelConfig};
use virpack_seq::{Input, LengthPolicy, LongRecords};

/// Inputs, lengths and packing.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// FASTA, FASTQ or BAM, plain or compressed (gzip, zstd, bzip2, xz); `-` is stdin
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) limits: LimitArguments,

    /// Most residues (or bases) of a record that go through [default: 1022; 4000 for nucleotides]
    #[arg(long, value_name = "N", value_parser = parse_whole)]
    max_length: Option<usize>,

    /// Fewest residues of a record; shorter ones are left out and listed
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_whole)]
    min_length: usize,

    /// What becomes of records over --max-length
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Long::Truncate)]
    long_records: Long,

    /// Residues that neighbouring windows share, with --long-records window [default: 128, at most half of --max-length]
    #[arg(long, value_name = "N", value_parser = parse_whole)]
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
    /// Overlapping windows, averaged where they share tokens, so that the whole record counts
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

    /// The policy for lengths, before the model is known.
    pub(crate) fn lengths(&self) -> Result<LengthPolicy, Failure> {
        self.lengths_up_to(LengthPolicy::default().max_length)
    }

    /// The policy for lengths with the model in `location`.
    pub(crate) fn lengths_for(
        &self,
        location: &Location,
        refetch: &Refetch,
    ) -> Result<LengthPolicy, Failure> {
        let config = load_again(Some(refetch), &[location], || ModelConfig::of(&Weights::at(location)?))?;
        self.lengths_up_to(config.max_length())
    }

    /// The policy for lengths, `longest` unless asked otherwise.
    pub(crate) fn lengths_up_to(&self, longest: usize) -> Result<LengthPolicy, Failure> {
        let max_length = self.max_length.unwrap_or(longest);
        if self.window_overlap.is_some() && !matches!(self.long_records, Long::Window) {
            return Err(Failure::OverlapWithoutWindows);
        }
        let overlap = LongRecords::DEFAULT_OVERLAP.min(max_length / 2);
        let long_records = match self.long_records {
            Long::Truncate => LongRecords::Truncate,
            Long::Window => LongRecords::Window { overlap: self.window_overlap.unwrap_or(overlap) },
            Long::Skip => LongRecords::Skip,
            Long::Error => LongRecords::Error,
        };
        Ok(LengthPolicy { max_length, min_length: self.min_length, long_records })
    }
}
