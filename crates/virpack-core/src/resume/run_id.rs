//! Distinguishes one run's parts from all others'.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read};

use sha2::{Digest, Sha256};
use virpack_seq::reader::hex;

use super::MAGIC;

/// Distinguishes one run's parts from all others'. It is in the manifest and at the beginning of each part. A
/// run that resumes another one has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunId([u8; 16]);

impl RunId {
    /// Bytes of a part before its first entry.
    pub(super) const HEAD: u64 = (MAGIC.len() + 16) as u64;

    /// Returns an id that no other run has.
    pub(crate) fn new() -> RunId {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut sum = Sha256::new();
        // The system's random numbers, which std offers only through its hash tables.
        sum.update(RandomState::new().hash_one(time).to_le_bytes());
        sum.update(time.as_nanos().to_le_bytes());
        sum.update(std::process::id().to_le_bytes());
        let sum = sum.finalize();
        RunId(*sum.first_chunk().expect("a SHA-256 has 32 bytes"))
    }

    /// Returns the beginning of a part.
    pub(super) fn head(self) -> Vec<u8> {
        [&MAGIC[..], &self.0].concat()
    }

    /// Reads the beginning of a part, and refuses a part of another run.
    pub(super) fn expect_head(self, part: &mut impl Read) -> io::Result<()> {
        let mut head = [0; RunId::HEAD as usize];
        part.read_exact(&mut head)?;
        if head[..] != self.head() {
            return Err(io::Error::new(ErrorKind::InvalidData, "it is not a part of this run"));
        }
        Ok(())
    }

    pub(super) fn of_text(text: &str) -> Option<RunId> {
        let mut bytes = [0; 16];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        (text.len() == 32).then_some(RunId(bytes))
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_its_own_and_knows_its_parts() {
        let [one, other] = [RunId::new(), RunId::new()];
        assert_ne!(one, other);
        assert_eq!(RunId::of_text(&one.to_string()), Some(one));
        for odd in ["", "12", &format!("{one}0"), &"é".repeat(16), &"x".repeat(32)] {
            assert_eq!(RunId::of_text(odd), None, "{odd}");
        }
        assert!(one.expect_head(&mut &one.head()[..]).is_ok());
        let error = one.expect_head(&mut &other.head()[..]).unwrap_err();
        assert_eq!(error.to_string(), "it is not a part of this run");
    }
}
