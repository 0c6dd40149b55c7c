//! Parses the values of options, and words the errors of wrong ones.

use crate::messages::{self, Message};
use std::borrow::Cow;
use std::num::NonZeroUsize;

use virpack_core::verdict::Prevalence;
use virpack_core::{DeviceChoice, DeviceChoiceError, Hint};
use virpack_seq::GeneticCode;

/// The smallest limit of a record: formats are recognised by their first bytes.
const LEAST: u64 = 1_000;

/// Parses a number. clap's own messages mention digits and types.
pub(crate) fn parse_whole(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number, 0 or more".to_owned())
}

/// Parses a number of at least 1.
pub(crate) fn parse_count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number, at least 1".to_owned())
}

/// Parses a number of at least 1 that does not count objects in memory.
pub(crate) fn parse_positive(text: &str) -> Result<u64, String> {
    parse_count(text).map(|number| number.get() as u64)
}

/// Parses a device's name, or several names of GPUs.
pub(crate) fn parse_device(text: &str) -> Result<DeviceChoice, String> {
    text.parse().map_err(|error: DeviceChoiceError| error.hint().map_or(error.to_string(), Cow::into_owned))
}

/// Parses a genetic code by NCBI's number.
pub(crate) fn parse_code(text: &str) -> Result<GeneticCode, WrongValue> {
    let number = text.parse().map_err(|_| WrongValue("expected the number of a genetic code".into()))?;
    GeneticCode::ncbi(number).map_err(|error| WrongValue(messages::of(&error.into())))
}

/// The message for a value that an option does not accept, perhaps with a hint.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.text())]
pub(crate) struct WrongValue(pub(crate) Message);

/// Parses a chunk's length, which must hold a codon.
pub(crate) fn parse_length(text: &str) -> Result<NonZeroUsize, String> {
    let length = text.parse().ok().filter(|length: &NonZeroUsize| length.get() >= 3);
    length.ok_or_else(|| "expected a number of bases, at least 3".to_owned())
}

/// Parses a difference with which results can be compared.
pub(crate) fn parse_limit(text: &str) -> Result<f64, String> {
    let limit = text.parse().ok().filter(|limit: &f64| limit.is_finite() && *limit > 0.0);
    limit.ok_or_else(|| "expected a number above 0".to_owned())
}

/// Parses a share of viral records. It is more than 0 and less than 1, because otherwise all records are of
/// one kind.
pub(crate) fn parse_prevalence(text: &str) -> Result<Prevalence, String> {
    let prevalence = text.parse().ok().and_then(Prevalence::new);
    prevalence.ok_or_else(|| "expected a share of more than 0 and less than 1".to_owned())
}

/// Parses the seconds of a measurement.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s| (0.01..=3600.0).contains(s));
    seconds.ok_or_else(|| "expected seconds, 0.01 to 3600".to_owned())
}

/// Parses a number of tokens, with a decimal unit or without.
pub(crate) fn parse_tokens(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        _ => 0,
    };
    let tokens = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    tokens
        .filter(|tokens| *tokens > 0)
        .ok_or_else(|| "expected a number of tokens, as 50M or 400000".to_owned())
}

/// Parses a number of bytes, with a decimal unit or without.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
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
    use super::{parse_size, parse_tokens};

    #[test]
    fn tokens_have_decimal_units() {
        for (text, tokens) in [("7", 7), ("50M", 50_000_000), ("3k", 3_000), ("2G", 2_000_000_000)] {
            assert_eq!(parse_tokens(text), Ok(tokens), "{text}");
        }
        for text in ["", "0", "M", "0M", "1.5M", "-1", "5 M", "99999999999G", "5MB"] {
            assert!(parse_tokens(text).is_err(), "{text}");
        }
    }

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
