//! The bytes of a file as they are read, to be hashed by the thread that divides it.

use std::collections::VecDeque;
use std::io::{self, Read};

use crossbeam_channel::{Receiver, Sender};
use sha2::{Digest, Sha256};

use super::super::checksum::hex;

/// Hands on a copy of what is read.
pub(super) struct Tap {
    inner: Box<dyn Read + Send>,
    to: Sender<Vec<u8>>,
}

impl Tap {
    pub(super) fn new(inner: Box<dyn Read + Send>, to: Sender<Vec<u8>>) -> Self {
        Tap { inner, to }
    }
}

impl Read for Tap {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buf)?;
        if bytes > 0 {
            // Nothing takes it where the parser has failed.
            let _ = self.to.send(buf[..bytes].to_vec());
        }
        Ok(bytes)
    }
}

/// What was read of a file and is not hashed yet.
pub(super) struct Pieces {
    from: Receiver<Vec<u8>>,
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that are hashed.
    done: usize,
    /// Bytes of the file that are hashed.
    at: u64,
    hasher: Sha256,
}

impl Pieces {
    pub(super) fn new(from: Receiver<Vec<u8>>) -> Self {
        Pieces { from, waiting: VecDeque::new(), done: 0, at: 0, hasher: Sha256::new() }
    }

    /// Returns how many bytes of the file are hashed.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Hashes up to this byte of the file, as far as it was read.
    pub(super) fn hash_to(&mut self, end: u64) {
        while self.at < end {
            let Some(piece) = self.waiting.front() else {
                let Ok(piece) = self.from.try_recv() else { return };
                self.waiting.push_back(piece);
                continue;
            };
            let rest = &piece[self.done..];
            let bytes = rest.len().min(usize::try_from(end - self.at).unwrap_or(usize::MAX));
            self.hasher.update(&rest[..bytes]);
            self.at += bytes as u64;
            self.done += bytes;
            if self.done == piece.len() {
                self.waiting.pop_front();
                self.done = 0;
            }
        }
    }

    /// Returns the SHA-256 of what was hashed since the last call, in hexadecimal digits.
    pub(super) fn end(&mut self) -> String {
        hex(&self.hasher.finalize_reset())
    }

    /// As [`Pieces::end`], for bytes up to `end`, of which those from `next` on are hashed again with what
    /// follows.
    pub(super) fn end_sharing(&mut self, next: u64, end: u64) -> String {
        self.hash_to(next);
        let mut hasher = std::mem::take(&mut self.hasher);
        let mut left = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let (mut place, mut done) = (0, self.done);
        while left > 0 {
            let Some(piece) = self.waiting.get(place) else {
                let Ok(piece) = self.from.try_recv() else { break };
                self.waiting.push_back(piece);
                continue;
            };
            let rest = &piece[done..];
            let bytes = rest.len().min(left);
            hasher.update(&rest[..bytes]);
            (place, done, left) = (place + 1, 0, left - bytes);
        }
        hex(&hasher.finalize())
    }

    /// Drops what waits: ranges of the file are not hashed.
    pub(super) fn drop_all(&mut self) {
        self.waiting.clear();
        while self.from.try_recv().is_ok() {}
    }
}
