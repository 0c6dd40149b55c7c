//! Checksums of the models' files, taken beside their loading or the run.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};
use virpack_seq::ThreadError;
use virpack_seq::reader::hex;

use crate::ModelError;
use crate::guarded;
use crate::hub::{Damage, DamagedFile, Kept};
use crate::location::Location;
use crate::weights::torch::check_sums;

/// Files that are summed at once.
const AT_ONCE: usize = 4;

/// Bytes that are read at once: fewer system calls than of a small buffer, and they stay in a core's cache.
const PIECE: usize = 1 << 18;

/// A file and what it was.
#[derive(Clone, Debug)]
pub struct FileChecksum {
    pub location: Location,
    pub bytes: u64,
    /// In hexadecimal digits, as `sha256sum` prints it.
    pub sha256: String,
}

impl FileChecksum {
    /// What it was, for people and to compare.
    pub fn sum(&self) -> String {
        sum(self.bytes, &self.sha256)
    }
}

/// Size and SHA-256 of a file, for people and to compare.
pub fn sum(bytes: u64, sha256: &str) -> String {
    format!("{bytes} bytes, SHA-256 {sha256}")
}

/// A thread that sums files: a model of ten gigabytes takes seconds.
pub struct Summing(JoinHandle<Result<Vec<FileChecksum>, ModelError>>);

impl Summing {
    pub fn start(files: Vec<Location>) -> Result<Self, ModelError> {
        let thread = std::thread::Builder::new().name("checksums".to_owned());
        let sum = move || {
            let sums = several(&files)?;
            // All of them are named, so that one second download mends the model.
            let damaged = sums.iter().filter_map(|file| damage(&file.location.path(), &file.sha256));
            match damaged.collect::<Vec<_>>() {
                files if files.is_empty() => Ok(sums),
                files => Err(Damage { files, kept: Kept::NotAsked }.into()),
            }
        };
        let thread = thread.spawn(sum).map(Summing);
        thread.map_err(|source| ThreadError::NotStarted { thread: "checksums", source }.into())
    }

    /// The checksums, once they are there.
    pub fn finish(self) -> Result<Vec<FileChecksum>, ModelError> {
        self.0.join().map_err(|panic| ThreadError::panicked("checksums", &*panic))?
    }
}

/// Sums several files at once: the shards of a model together are loaded faster than one core sums them.
fn several(files: &[Location]) -> Result<Vec<FileChecksum>, ModelError> {
    let (next, sums) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let Some((i, file)) = Some(next.fetch_add(1, Relaxed)).and_then(|i| Some((i, files.get(i)?))) {
            let sum = one(file.clone());
            sums.lock().unwrap_or_else(PoisonError::into_inner).insert(i, sum);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..files.len().min(AT_ONCE) {
            // A system that gives no more threads has this one.
            let _ = std::thread::Builder::new().name("checksums".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    sums.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// A file's checksum, and whether it keeps what it says of its own values.
fn one(location: Location) -> Result<FileChecksum, ModelError> {
    let sum = match (&location, location.in_memory()) {
        (_, Some(bytes)) => Ok((bytes.len() as u64, hex(&Sha256::digest(bytes)))),
        (Location::Disk(path), None) => checksum(path),
        (Location::Memory { .. }, None) => Err(io::ErrorKind::NotFound.into()),
    };
    let path = location.path();
    let (bytes, sha256) = sum.map_err(|source| ModelError::ReadModel { path: path.clone(), source })?;
    // A damaged file of the cache is downloaded again, whatever is wrong in it.
    if let (Location::Disk(path), None) = (&location, damage(&path, &sha256)) {
        let failed = |source| ModelError::Checkpoint { path: path.clone(), source };
        let file = guarded::open_linked(path)
            .map_err(|source| ModelError::ReadModel { path: path.clone(), source })?;
        check_sums(file).map_err(failed)?;
    }
    Ok(FileChecksum { location, bytes, sha256 })
}

/// One checksum for the files of a model: the only file's own, or the SHA-256 of what `sha256sum` prints for several by
/// their bare names, in alphabetical order (`sha256sum *.safetensors | sha256sum`).
pub fn sum_of_all(files: &[FileChecksum]) -> String {
    if let [file] = files {
        return file.sha256.clone();
    }
    let name = |file: &FileChecksum| file.location.path().file_name().unwrap_or_default().to_owned();
    let mut lines: Vec<_> = files.iter().map(|file| (name(file), &file.sha256)).collect();
    lines.sort();
    let mut sum = Sha256::new();
    for (name, sha256) in lines {
        sum.update([sha256.as_bytes(), b"  ", name.as_encoded_bytes(), b"\n"].concat());
    }
    hex(&sum.finalize())
}

/// A file's size and SHA-256.
pub(super) fn checksum(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hasher, mut bytes) = (guarded::open_linked(path)?, Sha256::new(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((bytes, hex(&hasher.finalize()))),
            Ok(count) => {
                hasher.update(&piece[..count]);
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The SHA-256 that a file in the Hub's cache should have: the cache names large files by it.
fn promised(path: &Path) -> Option<(PathBuf, String)> {
    let blob = path.canonicalize().ok()?;
    let name = blob.file_name()?.to_str()?.to_owned();
    let is_blob = blob.parent()?.file_name()? == "blobs";
    (is_blob && is_sha256(&name)).then_some((blob, name))
}

/// Whether a name in the cache, which is a file's ETag, is its SHA-256.
pub(super) fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file in the Hub's cache, compared by its hash with its name there; None for one that is right, or not there.
fn damage(path: &Path, sha256: &str) -> Option<DamagedFile> {
    let (blob, promised) = promised(path)?;
    let is_right = promised.eq_ignore_ascii_case(sha256);
    (!is_right).then(|| DamagedFile { path: path.to_owned(), blob, found: sha256.to_owned() })
}

/// Those of the files that the Hub's cache has damaged; the others are not read.
pub(super) fn damaged(files: &[Location]) -> Vec<DamagedFile> {
    let paths = files.iter().map(Location::path).filter(|path| promised(path).is_some());
    paths.filter_map(|path| damage(&path, &checksum(&path).ok()?.1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_seq::Hint;

    #[test]
    fn sums_are_those_that_sha256sum_prints() {
        let directory = tempfile::tempdir().unwrap();
        let [a, b] = ["a.bin", "b.bin"].map(|name| Location::Disk(directory.path().join(name)));
        std::fs::write(a.path(), "abc").unwrap();
        std::fs::write(b.path(), "").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sum_of_all(&Summing::start(vec![a.clone()]).unwrap().finish().unwrap()), abc);
        let both = sum_of_all(&Summing::start(vec![b, a]).unwrap().finish().unwrap());
        assert_eq!(both, hex(&Sha256::digest(format!("{abc}  a.bin\n{empty}  b.bin\n"))));
        let none = Summing::start(vec![Location::Disk(directory.path().join("none"))]).unwrap().finish();
        assert!(matches!(none, Err(ModelError::ReadModel { .. })));
        // More files than are summed at once, some longer than a piece: each in its place.
        let file = |i: usize| directory.path().join(format!("{i}.bin"));
        let text = |i: usize| format!("{i} ").repeat(if i == 3 { PIECE } else { i });
        (0..9).for_each(|i| std::fs::write(file(i), text(i)).unwrap());
        let sums =
            Summing::start((0..9).map(|i| Location::Disk(file(i))).collect()).unwrap().finish().unwrap();
        for (i, sum) in sums.iter().enumerate() {
            let (location, bytes, sha256) =
                (Location::Disk(file(i)), text(i).len(), hex(&Sha256::digest(text(i))));
            assert!(sum.location == location && sum.bytes == bytes as u64 && sum.sha256 == sha256, "{i}");
        }
        assert_eq!(sums.len(), 9);
    }

    #[test]
    fn damaged_files_in_the_cache_are_found_and_named() {
        let cache = tempfile::tempdir().unwrap();
        let blobs = cache.path().join("models--a--b/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let files = [abc, empty].map(|name| Location::Disk(blobs.join(name)));
        let sum = || Summing::start(files.to_vec()).unwrap().finish();
        std::fs::write(files[0].path(), "abc").unwrap();
        std::fs::write(files[1].path(), "").unwrap();
        assert_eq!(sum().unwrap()[0].sha256, abc);
        assert_eq!(damaged(&files), []);
        // The sum is of the bytes, whatever the name says.
        files.iter().for_each(|file| std::fs::write(file.path(), "abd").unwrap());
        let error = sum().unwrap_err();
        let message = error.to_string();
        assert!(message.contains(abc) && message.contains("damaged files of this model: 2"), "{message}");
        assert!(error.hint().unwrap().contains("remove it, and run again"), "{error:?}");
        let ModelError::DamagedInCache(damage) = error else { panic!("{error}") };
        assert_eq!(damage.files, damaged(&files));
        assert!(files[0].exists(), "only what replaces a file removes it");
    }

    #[test]
    fn a_checkpoint_whose_values_differ_from_its_own_sums_is_refused() {
        let whole =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/weights/bin/pytorch_model.bin");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pytorch_model.bin");
        let mut bytes = std::fs::read(whole).unwrap();
        let sum = || Summing::start(vec![Location::Disk(file.clone())]).unwrap().finish();
        std::fs::write(&file, &bytes).unwrap();
        sum().unwrap();
        // A bit of a value, within the 1,024 bytes of `data/11`; between entries there is padding.
        bytes[9216 + 512] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let error = sum().unwrap_err();
        assert!(error.to_string().contains("damaged or cut short"), "{error}");
        assert!(error.hint().unwrap().starts_with("copy"), "{error:?}");
    }
}
