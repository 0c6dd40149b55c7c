//! Options that say what is read, packed and cut; shared by `embed`, `pack` and `plan`.

use super::limits::LimitArguments;
use crate::failure::Failure;
use crate::values::{parse_count, parse_whole};
use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use virpack_core::LengthOptions;
use virpack_seq::{Input, LongRecords};

/// Inputs and lengths.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// FASTA, FASTQ or BAM, plain or compressed (gzip, zstd, bzip2, xz): files, URLs
    /// (s3://, gs://, az://, https://), or `-` for stdin
    #[arg(required = true, value_name = "INPUT", help_heading = None)]
    inputs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) limits: LimitArguments,

    /// Maximum record length in residues (or bases) [default: that of the model: 1022 for proteins, 3000 for
    /// virpack-mini/nucleotide, 4000 for DNABERT-S]
    #[arg(long, value_name = "N", value_parser = parse_whole)]
    max_length: Option<usize>,

    /// Minimum record length in residues (or bases); shorter records are skipped and listed
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_whole)]
    min_length: usize,

    /// What to do with records longer than --max-length
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Long::Truncate)]
    long_records: Long,

    /// Residues that neighbouring windows share, with --long-records window [default: 128, at most half of --max-length]
    #[arg(long, value_name = "N", value_parser = parse_whole)]
    window_overlap: Option<usize>,
}

/// How many records wait to be packed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct BufferArguments {
    /// Number of records to collect before packing [default: 2000, more for a large token budget]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    buffer_size: Option<NonZeroUsize>,
}

impl BufferArguments {
    pub(crate) fn records(self) -> Option<usize> {
        self.buffer_size.map(NonZeroUsize::get)
    }
}

/// The policies for long records.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Long {
    /// Embed the beginning (N-terminal side), and flag the row
    Truncate,
    /// Embed the whole record in overlapping windows, averaged where they share tokens
    Window,
    /// Skip and list them
    Skip,
    /// Stop with an error at the first one
    Error,
}

impl Inputs {
    pub(crate) fn inputs(&self) -> Vec<Input> {
        self.inputs.iter().cloned().map(Input::from).collect()
    }

    /// Returns the fewest letters of a record.
    pub(crate) fn min_length(&self) -> usize {
        self.min_length
    }

    /// Returns which lengths are accepted. The model determines the maximum unless the option is given.
    pub(crate) fn lengths(&self) -> Result<LengthOptions, Failure> {
        if self.window_overlap.is_some() && !matches!(self.long_records, Long::Window) {
            return Err(Failure::OverlapWithoutWindows);
        }
        // Every model's maximum length is more than twice the default overlap.
        let overlap = LongRecords::DEFAULT_OVERLAP.min(self.max_length.unwrap_or(usize::MAX) / 2);
        let long_records = match self.long_records {
            Long::Truncate => LongRecords::Truncate,
            Long::Window => LongRecords::Window { overlap: self.window_overlap.unwrap_or(overlap) },
            Long::Skip => LongRecords::Skip,
            Long::Error => LongRecords::Error,
        };
        let lengths = LengthOptions::default().max_length(self.max_length);
        Ok(lengths.min_length(self.min_length).long_records(long_records))
    }
}
