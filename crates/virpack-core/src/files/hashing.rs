//! Computes the SHA-256 of what is read.

use std::io::{self, Read};

use sha2::{Digest, Sha256};
use virpack_seq::reader::hex;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Returns the SHA-256 of everything that a reader gives, in hexadecimal digits.
pub(crate) fn sha256_of(from: &mut impl Read) -> io::Result<String> {
    let (mut sum, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(hex(&sum.finalize())),
            Ok(bytes) => sum.update(&piece[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A reader, and the hash of what it has given.
pub(crate) struct HashingReader<R> {
    pub(crate) from: R,
    pub(crate) sum: Sha256,
}

impl<R> HashingReader<R> {
    pub(crate) fn new(from: R) -> Self {
        HashingReader { from, sum: Sha256::new() }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.from.read(buf)?;
        self.sum.update(&buf[..bytes]);
        Ok(bytes)
    }
}
