//! FASTQ records that are not four plain lines: wrapped over several, or faulty.

use std::ops::Range;

use memchr::memchr;

use super::lines::{Stray, copy_line};

/// The beginning of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScanResult {
    /// The text ends before that is known, and more may come.
    More,
    /// A complete record.
    Record {
        /// Bytes of the record.
        end: usize,
        /// Its header, behind the `@`.
        header: Range<usize>,
    },
    /// A record at fault.
    Fault {
        /// Bytes up to the end of the line at fault.
        end: usize,
        /// That line, from 0 for the header.
        line: u64,
        fault: FastqFault,
    },
}

/// What is wrong with a FASTQ record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FastqFault {
    /// A line begins with something else than this.
    Expected(char),
    /// A byte of a sequence line is not a letter of a sequence: its offset in the text, and that of the line.
    Stray { offset: usize, line: usize },
    /// As many quality values as letters are not there.
    Quality { letters: usize, values: usize },
    /// The text ends inside the record.
    Ends,
}

/// Returns whether a line may be number `phase` (from 0) of a record in four plain lines, whose sequence
/// line has `letters` bytes.
pub(super) fn is_plain(phase: u8, line: &[u8], letters: usize) -> bool {
    match phase {
        0 => line.starts_with(b"@"),
        1 => true,
        2 => line.starts_with(b"+"),
        _ => line.len() == letters,
    }
}

/// Returns whether the record that `text` begins with is for certain not one of four plain lines.
pub(super) fn is_odd(text: &[u8]) -> bool {
    let mut lines = Lines { text, at: 0, number: 0, ended: false };
    let mut letters = 0;
    for phase in 0..4 {
        let Some(line) = lines.next() else { return false };
        let line = without_return(&text[line]);
        if !is_plain(phase, line, letters) {
            return true;
        }
        letters = if phase == 1 { line.len() } else { letters };
    }
    false
}

/// Returns a line without the carriage return before its end.
pub(super) fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads the record that `text` begins with, and puts its letters into `letters`; nothing follows
/// `text` if `ended`.
///
/// The sequence may go over several lines, up to one that begins with `+`. The quality values then
/// continue until they are as many as letters, since their lines may begin with `@` or `+`; those of a
/// sequence in one line are in one line.
pub(super) fn scan(text: &[u8], ended: bool, letters: &mut Vec<u8>) -> ScanResult {
    letters.clear();
    let mut lines = Lines { text, at: 0, number: 0, ended };
    // A mark at the end of a file, unless something follows.
    if !ended && text.first() == Some(&0x1A) {
        return ScanResult::More;
    }
    let Some(header) = lines.next() else { return ScanResult::More };
    if text.first() != Some(&b'@') {
        return lines.fault(FastqFault::Expected('@'));
    }
    let mut sequence_lines = 0;
    loop {
        let Some(line) = lines.next() else { return lines.missing() };
        if text.get(line.start) == Some(&b'+') {
            break;
        }
        let bytes = &text[line.clone()];
        // The next header: this record has no `+`.
        if bytes.starts_with(b"@") {
            return lines.fault(FastqFault::Expected('+'));
        }
        if let Err(Stray { offset }) = copy_line(bytes, letters) {
            return lines.fault(FastqFault::Stray { offset: line.start + offset, line: line.start });
        }
        sequence_lines += 1;
    }
    let mut values = 0;
    loop {
        let Some(line) = lines.next() else {
            // The quality line of an empty sequence may be missing at the end.
            return if ended && letters.is_empty() { lines.record(header) } else { lines.missing() };
        };
        values += text[line].trim_ascii_end().len();
        if values == letters.len() {
            return lines.record(header);
        }
        if values > letters.len() || sequence_lines < 2 {
            return lines.fault(FastqFault::Quality { letters: letters.len(), values });
        }
    }
}

/// The lines of a text, one after the other.
struct Lines<'a> {
    text: &'a [u8],
    /// The end of the last line.
    at: usize,
    /// Lines so far.
    number: u64,
    ended: bool,
}

impl Lines<'_> {
    /// Returns the next complete line, without its end.
    fn next(&mut self) -> Option<Range<usize>> {
        let rest = &self.text[self.at..];
        let (length, end) = match memchr(b'\n', rest) {
            Some(length) => (length, length + 1),
            None if self.ended && !rest.is_empty() => (rest.len(), rest.len()),
            None => return None,
        };
        let line = self.at..self.at + length;
        self.at += end;
        self.number += 1;
        Some(line)
    }

    fn record(&self, header: Range<usize>) -> ScanResult {
        ScanResult::Record { end: self.at, header: header.start + 1..header.end }
    }

    /// Returns a fault in the last line.
    fn fault(&self, fault: FastqFault) -> ScanResult {
        ScanResult::Fault { end: self.at, line: self.number.saturating_sub(1), fault }
    }

    fn missing(&self) -> ScanResult {
        if self.ended { self.fault(FastqFault::Ends) } else { ScanResult::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str, ended: bool) -> (ScanResult, String) {
        let mut letters = Vec::new();
        let scanned = scan(text.as_bytes(), ended, &mut letters);
        (scanned, String::from_utf8(letters).unwrap())
    }

    #[test]
    fn a_record_over_several_lines() {
        let text = "@a b\nACGT\nAC\n+a b\n@+II\r\n+I\n@next\n";
        assert_eq!(scanned(text, false), (ScanResult::Record { end: 27, header: 1..4 }, "ACGTAC".into()));
        assert_eq!(&text[27..], "@next\n");
        // Its last line may have no end.
        assert_eq!(scanned("@a\nA\nC\n+\nII", true).0, ScanResult::Record { end: 11, header: 1..2 });
        assert_eq!(scanned("@a\nA\nC\n+\nII", false).0, ScanResult::More);
        assert_eq!(scanned("@a\n\n+", true).0, ScanResult::Record { end: 5, header: 1..2 });
    }

    #[test]
    fn what_is_wrong_and_in_which_line() {
        for (text, line, fault) in [
            ("b\n", 0, FastqFault::Expected('@')),
            ("@a\nAC\n@b\n", 2, FastqFault::Expected('+')),
            ("@a\nAC\nG1\n+\nIIII\n", 2, FastqFault::Stray { offset: 7, line: 6 }),
            ("@a\nAC\n+\nI\n", 3, FastqFault::Quality { letters: 2, values: 1 }),
            ("@a\nA\nC\n+\nI\nII\n", 5, FastqFault::Quality { letters: 2, values: 3 }),
        ] {
            match scanned(text, false).0 {
                ScanResult::Fault { line: found, fault: said, .. } => {
                    assert_eq!((found, said), (line, fault), "{text}")
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in ["@a", "@a\nAC\n", "@a\nAC\nGT\n+\nII\n"] {
            assert_eq!(scanned(text, false).0, ScanResult::More, "{text}");
            assert!(
                matches!(scanned(text, true).0, ScanResult::Fault { fault: FastqFault::Ends, .. }),
                "{text}"
            );
        }
    }
}
