//! What a model's weights were, taken beside their loading.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use super::weights::Weights;
use crate::Error;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// A thread that sums the files of a model.
///
/// Of one file the sum is its SHA-256, as `sha256sum` prints it; of several it is the SHA-256 of what `sha256sum` prints
/// for them by their bare names in alphabetical order (`sha256sum *.safetensors | sha256sum`).
#[derive(Debug)]
pub struct WeightsChecksum(JoinHandle<Result<String, Error>>);

impl WeightsChecksum {
    /// Begins to read the files of `weights`.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread.
    pub fn start(weights: &Weights) -> Result<Self, Error> {
        let mut paths: Vec<PathBuf> = weights.files().map(|(path, _)| path.to_owned()).collect();
        paths.sort();
        let thread = std::thread::Builder::new().name("checksum".to_owned());
        let started = thread.spawn(move || sum(&paths));
        started.map(Self).map_err(|source| Error::Thread { thread: "checksum", source })
    }

    /// The sum, in hexadecimal digits, once it is there.
    ///
    /// # Errors
    ///
    /// When a file could not be read.
    pub fn finish(self) -> Result<String, Error> {
        self.0.join().unwrap_or(Err(Error::Panicked { thread: "checksum" }))
    }
}

fn sum(paths: &[PathBuf]) -> Result<String, Error> {
    let mut lines = Vec::new();
    for path in paths {
        let sum = sum_file(path).map_err(|source| Error::ReadModel { path: path.clone(), source })?;
        if paths.len() == 1 {
            return Ok(sum);
        }
        lines.extend(sum.into_bytes());
        lines.extend(b"  ");
        lines.extend(path.file_name().unwrap_or_default().as_encoded_bytes());
        lines.push(b'\n');
    }
    Ok(hex(&Sha256::digest(&lines)))
}

fn sum_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex(&sum.finalize())),
            Ok(bytes) => sum.update(&piece[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_that_sha256sum_prints() {
        let directory = tempfile::tempdir().unwrap();
        let [a, b] = ["a.bin", "b.bin"].map(|name| directory.path().join(name));
        std::fs::write(&a, "abc").unwrap();
        std::fs::write(&b, vec![b'x'; PIECE + 1]).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum(std::slice::from_ref(&a)).unwrap(), abc);
        let lines = format!("{abc}  a.bin\n{}  b.bin\n", sum(std::slice::from_ref(&b)).unwrap());
        assert_eq!(sum(&[a, b]).unwrap(), hex(&Sha256::digest(lines)));
        assert!(matches!(sum(&[directory.path().join("none")]), Err(Error::ReadModel { .. })));
    }
}
