//! Options that bound what a record may take; shared by all commands that read sequences.

use crate::values::parse_size;
use clap::Args;
use virpack_core::device::available_memory;
use virpack_seq::ReadLimits;

/// The largest record and the largest header.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LimitArguments {
    /// Largest record, in bytes of the decompressed file: header, letters, quality values and line ends; 4GB, 500MB
    /// [default: 4GB, a fourth of the free memory where that is less, and 500 times its compressed bytes over 100MB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_record_size: Option<u64>,

    /// Longest header line, in bytes
    #[arg(long, value_name = "SIZE", default_value = "64MB", value_parser = parse_size)]
    max_header_size: u64,
}

impl LimitArguments {
    pub(crate) fn limits(self) -> ReadLimits {
        let header = self.max_header_size;
        match self.max_record_size {
            Some(record) => ReadLimits::new(record, header),
            None => ReadLimits::fitting(available_memory()).header(header),
        }
    }
}
