//! A part of the text of some blocks of BGZF.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// The text of a range of BGZF. The blocks of the range have all of it, and the first and the last one may
/// have more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRange {
    /// Its bytes in the decompressed input.
    pub bytes: Range<u64>,
    /// Bytes of text in the first block before it: with the first byte of the range, the virtual offset of
    /// SAM.
    pub skip: u64,
}

/// Reads a part of a text, and then reads the text to its end, so that the last block is checked and hashed.
pub(super) struct TextOf<R> {
    inner: R,
    /// Bytes before the part that are still to be passed over.
    skip: u64,
    /// Bytes of the part that are still to come.
    left: u64,
}

impl<R: Read> TextOf<R> {
    pub(super) fn new(inner: R, range: &TextRange) -> Self {
        TextOf { inner, skip: range.skip, left: range.bytes.end.saturating_sub(range.bytes.start) }
    }
}

impl<R: Read> Read for TextOf<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.skip > 0 {
            let passed = io::copy(&mut self.inner.by_ref().take(self.skip), &mut io::sink())?;
            self.skip -= passed;
        }
        if self.left == 0 {
            io::copy(&mut self.inner, &mut io::sink())?;
            return Ok(0);
        }
        let most = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let bytes = self.inner.read(&mut buf[..most])?;
        self.left -= bytes as u64;
        if bytes == 0 && most > 0 {
            let left = self.left;
            let problem =
                format!("{left} bytes of text are missing that the blocks had when they were planned");
            return Err(io::Error::new(ErrorKind::UnexpectedEof, problem));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], skip: u64, length: u64) -> io::Result<(Vec<u8>, usize)> {
        let mut inner = text;
        let mut out = Vec::new();
        let bytes = 100..100 + length;
        TextOf::new(&mut inner, &TextRange { bytes, skip }).read_to_end(&mut out).map(|_| (out, inner.len()))
    }

    #[test]
    fn a_part_of_the_text_is_read_and_the_rest_passed_over() {
        assert_eq!(read(b"abcdef", 2, 3).unwrap(), (b"cde".to_vec(), 0));
        assert_eq!(read(b"abcdef", 0, 6).unwrap(), (b"abcdef".to_vec(), 0));
        assert_eq!(read(b"abcdef", 6, 0).unwrap(), (vec![], 0));
        for (skip, length) in [(0, 7), (6, 1), (9, 1)] {
            let error = read(b"abcdef", skip, length).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
        }
    }
}
