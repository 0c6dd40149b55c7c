//! Options that bound what a record may take; shared by all commands that read sequences.

use crate::values::parse_size;
use clap::Args;
use virpack_core::device::available_memory;
use virpack_seq::ReadLimits;

/// The largest record and the largest header.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LimitArguments {
    /// Maximum size of a record in the decompressed file (header, letters, quality values, line ends), such
    /// as 500MB [default: 4GB, or a fourth of the free memory if that is less; over 100MB also at most 500
    /// times its compressed size]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_record_size: Option<u64>,

    /// Maximum length of a header line, in bytes
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
