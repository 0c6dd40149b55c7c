//! Formats numbers and tables for people.

use std::fmt::Display;
use std::io::Write;
pub(crate) use virpack_seq::grouped;
use virpack_seq::{PackStats, escaped_lines};

/// Prints a line to stderr, without characters that control a terminal. If it cannot be written
/// (`2>/dev/full`, a closed pipe), the run continues.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", escaped_lines(&line.to_string()));
}

/// Returns `n` of `one`, with the plural unless it is 1.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}

/// Returns how well batches were filled.
pub(crate) fn packing(stats: Option<&PackStats>) -> String {
    match stats.filter(|stats| stats.batches > 0) {
        Some(stats) => format!("packing {:.1} %", 100.0 * stats.efficiency()),
        None => "nothing packed".to_owned(),
    }
}

/// Returns bytes in MB, with one decimal.
pub(crate) fn megabytes(n: u64) -> String {
    format!("{:.1} MB", n as f64 / 1e6)
}

/// Returns bytes in the largest fitting unit: `2.6 GB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{} {}", three_digits(value), UNITS[unit]) }
}

/// Returns a rate or size with three digits: `9.43 k`, `1.20 M`.
pub(crate) fn short(value: f64) -> String {
    match value {
        v if v >= 999.5e6 => format!("{} G", three_digits(v / 1e9)),
        v if v >= 999.5e3 => format!("{} M", three_digits(v / 1e6)),
        v if v >= 999.5 => format!("{} k", three_digits(v / 1e3)),
        v => format!("{} ", three_digits(v)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(2_600_000_000), "2.60 GB");
        assert_eq!(bytes(999_999), "1.00 MB");
        assert_eq!(short(9_432.0), "9.43 k");
        assert_eq!(short(120.4), "120 ");
        assert_eq!(count(1, "record", "records"), "1 record");
    }
}
