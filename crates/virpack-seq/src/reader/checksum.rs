//! The identity of an input, by its bytes on disk.

use parking_lot::Mutex;

use sha2::{Digest, Sha256};

/// Size and SHA-256 of an input, as it is on disk (compressed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputChecksum {
    /// Which input, from 0.
    pub source: u32,
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits, as `sha256sum` prints it.
    pub sha256: String,
}

/// The checksums of the inputs read to their end.
#[derive(Debug, Default)]
pub(super) struct Checksums(Mutex<Vec<InputChecksum>>);

impl Checksums {
    pub(super) fn all(&self) -> Vec<InputChecksum> {
        self.0.lock().clone()
    }

    pub(super) fn add(&self, checksum: InputChecksum) {
        self.0.lock().push(checksum);
    }
}

/// The checksum of one input, as it is read.
pub(super) struct InputHasher {
    source: u32,
    bytes: u64,
    hasher: Sha256,
}

impl InputHasher {
    pub(super) fn new(source: u32) -> Self {
        InputHasher { source, bytes: 0, hasher: Sha256::new() }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    pub(super) fn finish(self) -> InputChecksum {
        let InputHasher { source, bytes, hasher } = self;
        InputChecksum { source, bytes, sha256: hex(&hasher.finalize()) }
    }
}

/// Bytes as hexadecimal digits.
///
/// ```
/// assert_eq!(virpack_seq::reader::hex(&[0, 171]), "00ab");
/// ```
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[digit as usize]))
        .collect()
}
