//! The members of a gzip file, and the bytes after the last one.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use flate2::bufread::GzDecoder;

use super::members::{MemberNotes, is_block};

/// What every member begins with.
const MAGIC: u8 = 0x1F;

/// The most bytes of other data that an error shows.
const SHOWN: usize = 40;

/// Reads on over the members of a file put together from several, as `gzip` does: zeros behind one
/// are padding.
pub(super) struct Gzip<R: BufRead> {
    /// None only while one member gives way to the next.
    member: Option<GzDecoder<Position<R>>>,
    /// Where the current member begins, bytes of the compressed file.
    begins: u64,
    /// Bytes that have come out of the current member.
    text: u64,
    ends: Arc<BgzfEnds>,
    notes: MemberNotes,
}

/// What is missing of BGZF, a gzip file whose members are blocks that say their size in an extra
/// field: the last block is empty, so that a file that ends at the end of another block is known to
/// be truncated.
#[derive(Debug, Default)]
pub(super) struct BgzfEnds {
    /// The last member that has ended is a block with data.
    is_open: AtomicBool,
    /// A member that is not a block followed such a block.
    was_open: AtomicBool,
}

impl BgzfEnds {
    /// Returns whether the data end without the empty block.
    pub(super) fn is_missing(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Returns whether plain gzip followed blocks without the empty one.
    pub(super) fn was_missing(&self) -> bool {
        self.was_open.load(Relaxed)
    }

    fn add(&self, is_block: bool, is_empty: bool) {
        let was_open = self.is_open.swap(is_block && !is_empty, Relaxed);
        self.was_open.fetch_or(was_open && !is_block, Relaxed);
    }
}

/// Bytes behind the last member that are none of gzip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trailing {
    /// Where they begin, bytes of the compressed file.
    pub(super) offset: u64,
    /// How they begin.
    pub(super) found: String,
}

impl<R: BufRead> Gzip<R> {
    /// Reads what `raw` gives: a file, or a part of it that begins with a member, `offset` bytes into the
    /// file. Members are noted in `notes`.
    pub(super) fn new(raw: R, offset: u64, notes: MemberNotes) -> Self {
        let member = Some(GzDecoder::new(Position { inner: raw, offset, has_failed: false }));
        Gzip { member, begins: offset, text: 0, ends: Arc::default(), notes }
    }

    /// Returns what is missing of BGZF, from now on.
    pub(super) fn ends(&self) -> Arc<BgzfEnds> {
        Arc::clone(&self.ends)
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let result = member.read(buf);
            let in_block = || member.header().and_then(|header| header.extra()).is_some_and(is_block);
            let bytes = match result {
                Ok(bytes) => bytes,
                // What the file or the store says has its own place.
                Err(error) if member.get_ref().has_failed => return Err(error),
                Err(error) => return Err(in_member(error, self.begins, in_block())),
            };
            if buf.is_empty() {
                return Ok(0);
            }
            if bytes > 0 {
                self.notes.text(self.begins, self.text, bytes as u64, in_block);
                self.text += bytes as u64;
                return Ok(bytes);
            }
            self.ends.add(in_block(), std::mem::take(&mut self.text) == 0);
            if member.get_mut().next_member()? {
                self.begins = member.get_ref().offset;
                self.member = self.member.take().map(|member| GzDecoder::new(member.into_inner()));
            } else {
                self.notes.end(member.get_ref().offset);
                self.member = None;
            }
        }
        Ok(0)
    }
}

/// Returns the error of a decoder with the place of its member; that of the first is the file's.
fn in_member(error: io::Error, begins: u64, is_block: bool) -> io::Error {
    let member = if is_block { "block" } else { "member" };
    match begins {
        0 => error,
        _ => io::Error::new(error.kind(), format!("{error}, in the {member} at byte {begins}")),
    }
}

/// Counts the bytes taken.
struct Position<R> {
    inner: R,
    /// Bytes of the file before the next one.
    offset: u64,
    /// The last read failed.
    has_failed: bool,
}

impl<R: BufRead> Position<R> {
    /// Returns whether another member follows the one that has ended.
    fn next_member(&mut self) -> io::Result<bool> {
        // Of the member, because padding may precede what is found.
        let offset = self.offset;
        loop {
            let bytes = match self.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                bytes => bytes?,
            };
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            match bytes.get(zeros) {
                Some(&MAGIC) => {
                    self.consume(zeros);
                    return Ok(true);
                }
                Some(_) => {
                    let found = String::from_utf8_lossy(&bytes[zeros..bytes.len().min(zeros + SHOWN)]);
                    let found = found.lines().next().unwrap_or_default().escape_debug().to_string();
                    return Err(io::Error::new(ErrorKind::InvalidData, Trailing { offset, found }));
                }
                None if zeros == 0 => return Ok(false),
                None => self.consume(zeros),
            }
        }
    }
}

impl<R: Read> Read for Position<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf);
        self.has_failed = read.is_err();
        let bytes = read?;
        self.offset += bytes as u64;
        Ok(bytes)
    }
}

impl<R: BufRead> BufRead for Position<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let filled = self.inner.fill_buf();
        self.has_failed = filled.is_err();
        filled
    }

    fn consume(&mut self, amount: usize) {
        self.offset += amount as u64;
        self.inner.consume(amount);
    }
}

impl fmt::Display for Trailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no gzip behind byte {}: {}", self.offset, self.found)
    }
}

impl std::error::Error for Trailing {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Write};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Whatever the buffer below holds at once.
    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let all = |size| {
            let mut text = Vec::new();
            Gzip::new(BufReader::with_capacity(size, bytes), 0, MemberNotes::default())
                .read_to_end(&mut text)
                .map(|_| text)
        };
        let (one, many) = (all(1), all(1 << 16));
        assert_eq!(one.as_ref().ok(), many.as_ref().ok());
        many
    }

    #[test]
    fn members_and_padding_are_read_through() {
        let (a, b, empty) = (gzip(b"first"), gzip(b"second"), gzip(b""));
        assert_eq!(read(&a).unwrap(), b"first");
        assert_eq!(read(&[&a[..], &empty, &b].concat()).unwrap(), b"firstsecond");
        assert_eq!(read(&[&a[..], &[0; 1000]].concat()).unwrap(), b"first");
        assert_eq!(read(&[&a[..], &[0; 3], &b, &[0]].concat()).unwrap(), b"firstsecond");
    }

    #[test]
    fn data_after_gzip_are_reported_with_their_place() {
        let member = gzip(b"first");
        for (behind, found) in [(&b">b x\nMKV\n"[..], ">b x"), (b"\0\0\x01junk", "\\u{1}junk")] {
            let error = read(&[&member[..], behind].concat()).unwrap_err();
            let trailing = error.get_ref().and_then(|error| error.downcast_ref::<Trailing>()).unwrap();
            let offset = member.len() as u64;
            assert_eq!(*trailing, Trailing { offset, found: found.to_owned() });
        }
    }

    #[test]
    fn a_damaged_member_is_reported_with_its_place_and_its_kind() {
        let mut block =
            flate2::GzBuilder::new().extra(*b"BC\x02\0\x80\0").write(Vec::new(), flate2::Compression::fast());
        block.write_all(b"second").unwrap();
        let first = gzip(b"first");
        for (mut member, kind) in [(gzip(b"second"), "member"), (block.finish().unwrap(), "block")] {
            let checksum = member.len() - 8;
            member[checksum] ^= 1;
            let error = read(&[&first[..], &member].concat()).unwrap_err().to_string();
            assert!(error.ends_with(&format!(", in the {kind} at byte {}", first.len())), "{error}");
        }
    }

    #[test]
    fn a_file_that_ends_too_early_is_reported() {
        let bytes = [gzip(b"first"), gzip(b"second")].concat();
        let second = gzip(b"first").len();
        for kept in (1..bytes.len()).filter(|kept| *kept != second) {
            assert_eq!(read(&bytes[..kept]).unwrap_err().kind(), ErrorKind::UnexpectedEof, "{kept}");
        }
    }
}
