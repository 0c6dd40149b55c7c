//! Checksums of the models' files, taken beside the run.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};
use virpack_seq::reader::hex;

use crate::Error;
use crate::model::location::Location;

/// A file and what it was.
#[derive(Clone, Debug)]
pub(super) struct FileChecksum {
    pub(super) location: Location,
    pub(super) bytes: u64,
    /// In hexadecimal digits, as `sha256sum` prints it.
    pub(super) sha256: String,
}

/// A thread that sums files: a model of ten gigabytes takes seconds.
pub(super) struct Summing(JoinHandle<Result<Vec<FileChecksum>, Error>>);

impl Summing {
    pub(super) fn start(files: Vec<Location>) -> Result<Self, Error> {
        let thread = std::thread::Builder::new().name("checksums".to_owned());
        let sum = move || {
            let sum = |location: Location| {
                let sum = match (&location, location.in_memory()) {
                    (_, Some(bytes)) => Ok((bytes.len() as u64, hex(&Sha256::digest(bytes)))),
                    (Location::Disk(path), None) => checksum(path),
                    (Location::Memory { .. }, None) => Err(io::ErrorKind::NotFound.into()),
                };
                let path = location.path();
                let (bytes, sha256) = sum.map_err(|source| Error::ReadModel { path, source })?;
                Ok(FileChecksum { location, bytes, sha256 })
            };
            files.into_iter().map(sum).collect()
        };
        thread.spawn(sum).map(Summing).map_err(|source| Error::Thread { thread: "checksums", source })
    }

    /// The checksums, once they are there.
    pub(super) fn finish(self) -> Result<Vec<FileChecksum>, Error> {
        self.0.join().map_err(|_| Error::Panicked { thread: "checksums" })?
    }
}

fn checksum(path: &Path) -> io::Result<(u64, String)> {
    let bytes = path.metadata()?.len();
    let sha256 = match named_by_the_hub(path) {
        Some(sha256) => sha256,
        None => {
            let mut hasher = Sha256::new();
            io::copy(&mut File::open(path)?, &mut hasher)?;
            hex(&hasher.finalize())
        }
    };
    Ok((bytes, sha256))
}

/// The Hub's cache names large files by their SHA-256.
fn named_by_the_hub(path: &Path) -> Option<String> {
    let blob = path.canonicalize().ok()?;
    let name = blob.file_name()?.to_str()?;
    let is_blob = blob.parent()?.file_name()? == "blobs";
    (is_blob && name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_owned())
}
