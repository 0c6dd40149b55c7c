//! Guesses the origin of a byte that is not a letter of a sequence.

use crate::error::Suspect;

/// Returns the likely origin of the byte at `place` of `line`, which is not a letter of a sequence.
pub(super) fn suspect(line: &[u8], place: usize) -> Suspect {
    let (before, rest) = line.split_at(place);
    let first = before.trim_ascii().is_empty();
    match rest {
        [b'<' | b'=' | b'|', next @ ..]
            if first && next.iter().take(6).filter(|&b| *b == rest[0]).count() == 6 =>
        {
            Suspect::Conflict
        }
        [b'>', ..] if first => Suspect::IndentedHeader,
        [b'>', ..] => Suspect::GluedHeader,
        [b'@' | b'+', ..] => Suspect::Fastq,
        [b'0'..=b'9', ..] => Suspect::LineNumber,
        [b'#' | b';' | b'!', ..] => Suspect::Comment,
        [b'/', ..] => Suspect::EndOfEntry,
        [b'<' | b'&', ..] => Suspect::Markup,
        [0xEF, 0xBB, 0xBF, ..] | [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => Suspect::ByteOrderMark,
        [0x1A, ..] => Suspect::EndMark,
        [b' ' | b'\t' | b'\r', ..] => Suspect::Blank,
        [0..=31 | 127, ..] => Suspect::Control,
        [128..=255, ..] => Suspect::NotAscii,
        [b'?' | b'~' | b'_', ..] => Suspect::Missing,
        [b',' | b'"' | b'\'' | b':' | b'|' | b'{' | b'}', ..] => Suspect::Table,
        _ => Suspect::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_contents_of_files_are_named() {
        for (line, suspect) in [
            ("MKT>b a header", Suspect::GluedHeader),
            ("  >b a header", Suspect::IndentedHeader),
            ("@read", Suspect::Fastq),
            ("+", Suspect::Fastq),
            ("       61 acgt", Suspect::LineNumber),
            ("MKT;a comment", Suspect::Comment),
            ("##gff", Suspect::Comment),
            ("//", Suspect::EndOfEntry),
            ("<p>", Suspect::Markup),
            ("<<<<<<< HEAD", Suspect::Conflict),
            ("=======", Suspect::Conflict),
            ("\u{feff}", Suspect::ByteOrderMark),
            ("MKT\u{1a}", Suspect::EndMark),
            ("MKT\u{7f}", Suspect::Control),
            ("MKT\u{a0}", Suspect::NotAscii),
            ("MK??", Suspect::Missing),
            ("MKT,b", Suspect::Table),
            ("MK(T)", Suspect::Unknown),
        ] {
            let place = line.bytes().position(|b| !b.is_ascii_alphabetic() && b != b' ').unwrap();
            assert_eq!(super::suspect(line.as_bytes(), place), suspect, "{line}");
            assert!(!suspect.hint().is_empty() && !suspect.to_string().is_empty());
        }
    }
}
