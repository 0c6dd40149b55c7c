//! The bytes that a sequence may hold, and the letters of a record's lines.

use memchr::memchr_iter;

use crate::tokenize::esm::ALPHABET;

/// Bytes of a long sequence that are looked at first: where it is wrapped, its first line ends within them.
const BEGINNING: usize = 256;

/// A byte that is not a letter of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stray {
    /// Its place, in bytes from the beginning of the record's lines.
    pub(super) offset: usize,
}

/// Appends the letters of `text`, the lines behind a FASTA header: letters of either case, `*`,
/// `-`, `.` and the names of ESM-2's special tokens (`<mask>`). Line ends, spaces and tabs are left
/// out, and so are comment lines, which begin with `;`: the number returned.
pub(super) fn copy_lines(text: &[u8], letters: &mut Vec<u8>) -> Result<Comments, Stray> {
    // The common case, a sequence in one line, costs one pass.
    let is_wrapped = text.len() > 16 * BEGINNING && !are_letters(&text[..BEGINNING]);
    if !is_wrapped && are_letters(text) {
        letters.extend_from_slice(text);
        return Ok(Comments::default());
    }
    let begin = letters.len();
    letters.reserve(text.len());
    let mut start = 0;
    for end in memchr_iter(b'\n', text).chain([text.len()]) {
        let line = &text[start..end];
        letters.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        start = end + 1;
    }
    if are_letters(&letters[begin..]) || are_allowed(&letters[begin..]) {
        return Ok(Comments::default());
    }
    letters.truncate(begin);
    copy_carefully(text, letters)
}

/// Appends the letters of `line`, the sequence line of a FASTQ record. Blanks may end it, and
/// it may hold nothing else without a quality value.
pub(super) fn copy_line(line: &[u8], letters: &mut Vec<u8>) -> Result<(), Stray> {
    let line = line.trim_ascii_end();
    if !are_letters(line) && !are_allowed(line) {
        let mut names = SpecialNames::default();
        let stray = (0..line.len()).find(|&i| !is_allowed(line[i]) && !names.cover(line, i));
        if let Some(offset) = stray {
            return Err(Stray { offset });
        }
    }
    letters.extend_from_slice(line);
    Ok(())
}

/// The comment lines of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Comments {
    pub(super) lines: u64,
    /// The first one's line, from 0 for the line behind the header.
    pub(super) first: u64,
}

/// As [`copy_lines`], byte by byte.
fn copy_carefully(text: &[u8], letters: &mut Vec<u8>) -> Result<Comments, Stray> {
    let begin = letters.len();
    let mut comments = Comments::default();
    let mut offsets = Vec::new();
    let mut start = 0;
    for (number, end) in (0..).zip(memchr_iter(b'\n', text).chain([text.len()])) {
        if text.get(start) == Some(&b';') {
            if comments.lines == 0 {
                comments.first = number;
            }
            comments.lines += 1;
        } else {
            for (offset, &byte) in (start..).zip(&text[start..end]) {
                if !matches!(byte, b' ' | b'\t' | b'\r') {
                    letters.push(byte);
                    if !is_allowed(byte) {
                        offsets.push((letters.len() - 1 - begin, offset));
                    }
                }
            }
        }
        start = end + 1;
    }
    // A name may go over the end of a line, so it is looked for among the letters.
    let mut names = SpecialNames::default();
    match offsets.into_iter().find(|&(place, _)| !names.cover(&letters[begin..], place)) {
        None => Ok(comments),
        Some((_, offset)) => Err(Stray { offset }),
    }
}

/// The names of ESM-2's special tokens in a sequence, looked for from front to back.
#[derive(Default)]
struct SpecialNames {
    /// The end of the last one found.
    end: usize,
}

impl SpecialNames {
    /// Returns whether the byte at `place` belongs to a name; places must grow from call to call.
    fn cover(&mut self, letters: &[u8], place: usize) -> bool {
        if place >= self.end && letters[place] == b'<' {
            let names = ALPHABET.iter().filter(|name| name.len() > 1);
            let name = names.map(|name| name.as_bytes()).find(|name| letters[place..].starts_with(name));
            self.end = name.map_or(self.end, |name| place + name.len());
        }
        place < self.end
    }
}

/// Returns whether there is nothing but letters. Capitals, the common case, take the cheaper pass.
fn are_letters(text: &[u8]) -> bool {
    are_capitals(text) || greatest(text, |byte| (byte | 0x20).wrapping_sub(b'a')) < 26
}

fn are_capitals(text: &[u8]) -> bool {
    greatest(text, |byte| byte.wrapping_sub(b'A')) < 26
}

/// Returns the greatest of the values of all bytes; without an early end and in pieces of one size, so that
/// it becomes vector code.
fn greatest(text: &[u8], value: impl Fn(u8) -> u8) -> u8 {
    let Some(last) = text.last_chunk() else {
        return text.iter().fold(0, |most, &byte| most.max(value(byte)));
    };
    let mut most = [0; 16];
    let mut take = |piece: &[u8; 16]| {
        for (most, &byte) in most.iter_mut().zip(piece) {
            *most = value(byte).max(*most);
        }
    };
    text.as_chunks().0.iter().for_each(&mut take);
    // It overlaps the one before it: looking twice does no harm.
    take(last);
    most.into_iter().fold(0, u8::max)
}

/// Returns whether a sequence may hold every byte by itself.
fn are_allowed(text: &[u8]) -> bool {
    text.iter().fold(true, |all, &byte| all & is_allowed(byte))
}

fn is_allowed(byte: u8) -> bool {
    ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte == b'*') | (byte == b'-') | (byte == b'.')
}

/// Returns whether `text` could be a line of a sequence, and looks like one: it is long, or has no lower
/// case.
pub(super) fn looks_like_sequence(text: &[u8]) -> bool {
    !text.is_empty() && are_allowed(text) && (text.len() >= 10 || !text.iter().any(u8::is_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<(String, Comments), usize> {
        let mut letters = b"ab".to_vec();
        match copy_lines(text.as_bytes(), &mut letters) {
            Ok(comments) => Ok((String::from_utf8(letters[2..].to_vec()).unwrap(), comments)),
            Err(stray) => Err(stray.offset),
        }
    }

    #[test]
    fn every_byte_is_allowed_or_stray() {
        for byte in 0..=u8::MAX {
            let allowed = byte.is_ascii_alphabetic() || b"*-.".contains(&byte);
            assert_eq!(is_allowed(byte), allowed, "{byte}");
            assert_eq!(are_letters(&[b'A', byte, b'z']), byte.is_ascii_alphabetic(), "{byte}");
            let text = [&b"MKT\nL"[..], &[byte], b"V"].concat();
            let blank = b" \t\r\n".contains(&byte);
            assert_eq!(copy_lines(&text, &mut Vec::new()).is_ok(), allowed || blank, "{byte}");
        }
    }

    #[test]
    fn blanks_and_comments_are_left_out() {
        let none = Comments::default();
        assert_eq!(lines("MKT\nlv*\n"), Ok(("MKTlv*".into(), none)));
        assert_eq!(lines("M K\tT\r\n L-.V\r\n"), Ok(("MKTL-.V".into(), none)));
        assert_eq!(lines(""), Ok((String::new(), none)));
        assert_eq!(lines("MK\n;one; 1\nT\n; two\n"), Ok(("MKT".into(), Comments { lines: 2, first: 1 })));
        assert_eq!(lines("MK;T"), Err(2));
        assert_eq!(lines(" ;T"), Err(1));
    }

    #[test]
    fn special_names_are_complete_or_stray() {
        let whole = "M<mask>K<null_1><unk>";
        assert_eq!(lines(whole).unwrap().0, whole);
        assert_eq!(lines("M<ma\nsk>K").unwrap().0, "M<mask>K");
        for (text, offset) in [("M<mask", 1), ("M<MASK>", 1), ("Mmask>", 5), ("<mask>>", 6), ("<null_2>", 0)]
        {
            assert_eq!(lines(text), Err(offset), "{text}");
            assert_eq!(copy_line(text.as_bytes(), &mut Vec::new()), Err(Stray { offset }), "{text}");
        }
    }

    #[test]
    fn a_fastq_line_holds_nothing_without_a_quality() {
        let mut letters = Vec::new();
        assert_eq!(copy_line(b"ACGTn.-* \r", &mut letters), Ok(()));
        assert_eq!(letters, b"ACGTn.-*");
        assert_eq!(copy_line(b"AC GT", &mut Vec::new()), Err(Stray { offset: 2 }));
        assert_eq!(copy_line(b" ACGT", &mut Vec::new()), Err(Stray { offset: 0 }));
    }
}
