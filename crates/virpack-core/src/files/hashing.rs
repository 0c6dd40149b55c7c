//! A SHA-256 of what is read, on the way.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// A reader, and the sum of what has come out of it.
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
