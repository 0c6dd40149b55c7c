//! Sizes and SHA-256 of a model's files.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use virpack_seq::reader::hex;

use crate::guarded;
use crate::location::Location;

/// Bytes that are read at once: fewer system calls than of a small buffer, and they stay in a core's cache.
pub(crate) const PIECE: usize = 1 << 18;

/// A file with its size and hash.
#[derive(Clone, Debug)]
pub struct FileChecksum {
    /// The file.
    pub location: Location,
    /// Its size, bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits, as `sha256sum` prints it.
    pub sha256: String,
}

impl FileChecksum {
    /// Size and SHA-256, for people and to compare.
    #[must_use]
    pub fn size_and_sha256(&self) -> String {
        size_and_sha256(self.bytes, &self.sha256)
    }
}

/// Size and SHA-256 of a file, for people and to compare.
#[must_use]
pub fn size_and_sha256(bytes: u64, sha256: &str) -> String {
    format!("{bytes} bytes, SHA-256 {sha256}")
}

/// One hash for the files of a model: the only file's own, or the SHA-256 of what `sha256sum` prints for
/// several by their bare names, in alphabetical order (`sha256sum *.safetensors | sha256sum`).
#[must_use]
pub fn sha256_of_all(files: &[FileChecksum]) -> String {
    if let [file] = files {
        return file.sha256.clone();
    }
    let name = |file: &FileChecksum| file.location.path().file_name().unwrap_or_default().to_owned();
    let mut lines: Vec<_> = files.iter().map(|file| (name(file), &file.sha256)).collect();
    lines.sort();
    let mut hasher = Sha256::new();
    for (name, sha256) in lines {
        hasher.update([sha256.as_bytes(), b"  ", name.as_encoded_bytes(), b"\n"].concat());
    }
    hex(&hasher.finalize())
}

/// Returns a file's size and SHA-256.
pub(crate) fn checksum(path: &Path) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let bytes = for_each_piece(&mut guarded::open_linked(path)?, |piece| hasher.update(piece))?;
    Ok((bytes, hex(&hasher.finalize())))
}

/// Reads all that is left, piece by piece: gives its size, bytes.
pub(crate) fn for_each_piece(from: &mut impl Read, mut work: impl FnMut(&[u8])) -> io::Result<u64> {
    let (mut piece, mut bytes) = (vec![0; PIECE], 0);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                work(&piece[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns whether a name in the cache, which is a file's ETag, is its SHA-256.
pub(crate) fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
