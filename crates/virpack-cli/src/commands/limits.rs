//! Options that bound what a record may take; shared by all commands that read sequences.

use clap::Args;
use virpack_seq::{ReadLimits, available_memory};

/// The smallest limit of a record: formats are known by their first bytes.
const LEAST: u64 = 1_000;

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
            Some(record) => ReadLimits { record, header, expansion: None },
            None => ReadLimits { header, ..ReadLimits::fitting(available_memory()) },
        }
    }
}

/// A number of bytes, with a decimal unit or without.
fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => 0,
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes
        .filter(|bytes| *bytes >= LEAST)
        .ok_or_else(|| "expected a size of 1kB or more, as 500MB or 4GB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_have_decimal_units() {
        for (text, bytes) in [
            ("1000", 1_000),
            ("64MB", 64_000_000),
            ("4 gb", 4_000_000_000),
            ("1000000b", 1_000_000),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "999", "MB", "1.5GB", "-1", "4GiB", "99999999999GB", "64M B"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
