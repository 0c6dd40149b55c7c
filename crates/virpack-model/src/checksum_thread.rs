//! Hashes of a model's files, computed beside their loading or the run.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};
use virpack_seq::ThreadError;
use virpack_seq::reader::hex;

use crate::checksum::FileChecksum;
use crate::error::ModelError;
use crate::guarded;
use crate::hub::{Damage, WhyKept, damage_by_hash};
use crate::location::Location;
use crate::noted_sums::NotedSums;
use crate::weights::torch::check_sums;

/// Files that are hashed at once.
const AT_ONCE: usize = 4;

/// A thread that hashes files: a model of ten gigabytes takes seconds.
pub struct ChecksumThread(JoinHandle<Result<Vec<FileChecksum>, ModelError>>);

impl ChecksumThread {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// [`ModelError::Thread`] where the system starts none.
    pub fn start(files: Vec<Location>) -> Result<Self, ModelError> {
        ChecksumThread::with(files, NotedSums::none())
    }

    /// Returns the same for the files of a model, which are hashed at every load: the SHA-256 of a large
    /// one is kept in the user's cache under its BLAKE3, which is computed from the same bytes each time,
    /// and faster.
    ///
    /// # Errors
    ///
    /// As [`ChecksumThread::start`].
    pub fn of_model(files: Vec<Location>) -> Result<Self, ModelError> {
        ChecksumThread::with(files, NotedSums::of_user())
    }

    fn with(files: Vec<Location>, sums: NotedSums) -> Result<Self, ModelError> {
        let thread = std::thread::Builder::new().name("checksums".to_owned());
        let hash = move || {
            let checksums = several(&files, &sums)?;
            // All of them are named, so that one second download mends the model.
            let damaged =
                checksums.iter().filter_map(|file| damage_by_hash(&file.location.path(), &file.sha256));
            match damaged.collect::<Vec<_>>() {
                files if files.is_empty() => Ok(checksums),
                files => Err(Damage { files, kept: WhyKept::NotAsked }.into()),
            }
        };
        let thread = thread.spawn(hash).map(ChecksumThread);
        thread.map_err(|source| ThreadError::NotStarted { thread: "checksums", source }.into())
    }

    /// Waits for the checksums, in the order of the files.
    ///
    /// # Errors
    ///
    /// [`ModelError::ReadModel`] for a file that cannot be read, [`ModelError::Checkpoint`] for one that
    /// differs from its own checksums, [`ModelError::DamagedInCache`] for files of the Hub's cache that
    /// differ from their names.
    pub fn finish(self) -> Result<Vec<FileChecksum>, ModelError> {
        self.0.join().map_err(|panic| ThreadError::panicked("checksums", &*panic))?
    }
}

/// Hashes several files at once: the shards of a model together are loaded faster than one core hashes them.
fn several(files: &[Location], sums: &NotedSums) -> Result<Vec<FileChecksum>, ModelError> {
    let (next, checksums) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let Some((i, file)) = Some(next.fetch_add(1, Relaxed)).and_then(|i| Some((i, files.get(i)?))) {
            let checksum = one(file.clone(), sums);
            checksums.lock().insert(i, checksum);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..files.len().min(AT_ONCE) {
            // A system that gives no more threads has this one.
            let _ = std::thread::Builder::new().name("checksums".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    checksums.into_inner().into_values().collect()
}

/// Returns a file's checksum, and whether its values are as its header states. A noted file was checked
/// before.
fn one(location: Location, sums: &NotedSums) -> Result<FileChecksum, ModelError> {
    let path = location.path();
    let unread = |source| ModelError::ReadModel { path: path.clone(), source };
    let Location::Disk(file) = &location else {
        let bytes = location.in_memory().ok_or_else(|| unread(io::ErrorKind::NotFound.into()))?;
        let (bytes, sha256) = (bytes.len() as u64, hex(&Sha256::digest(bytes)));
        return Ok(FileChecksum { location, bytes, sha256 });
    };
    let hashed = sums.hash(file).map_err(unread)?;
    // A damaged file of the cache is downloaded again, whatever is wrong in it.
    if !hashed.was_noted && damage_by_hash(file, &hashed.sha256).is_none() {
        let failed = |source| ModelError::Checkpoint { path: path.clone(), source };
        check_sums(guarded::open_linked(file).map_err(unread)?).map_err(failed)?;
        sums.note(&hashed);
    }
    Ok(FileChecksum { location, bytes: hashed.bytes, sha256: hashed.sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{PIECE, sha256_of_all};
    use crate::hub::damaged;
    use std::path::Path;
    use virpack_seq::Hint;

    #[test]
    fn sums_are_those_that_sha256sum_prints() {
        let directory = tempfile::tempdir().unwrap();
        let [a, b] = ["a.bin", "b.bin"].map(|name| Location::Disk(directory.path().join(name)));
        std::fs::write(a.path(), "abc").unwrap();
        std::fs::write(b.path(), "").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_of_all(&ChecksumThread::start(vec![a.clone()]).unwrap().finish().unwrap()), abc);
        let both = sha256_of_all(&ChecksumThread::start(vec![b, a]).unwrap().finish().unwrap());
        assert_eq!(both, hex(&Sha256::digest(format!("{abc}  a.bin\n{empty}  b.bin\n"))));
        let none =
            ChecksumThread::start(vec![Location::Disk(directory.path().join("none"))]).unwrap().finish();
        assert!(matches!(none, Err(ModelError::ReadModel { .. })));
        // More files than are summed at once, some longer than a piece: each in its place.
        let file = |i: usize| directory.path().join(format!("{i}.bin"));
        let text = |i: usize| format!("{i} ").repeat(if i == 3 { PIECE } else { i });
        (0..9).for_each(|i| std::fs::write(file(i), text(i)).unwrap());
        let sums = ChecksumThread::start((0..9).map(|i| Location::Disk(file(i))).collect())
            .unwrap()
            .finish()
            .unwrap();
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
        let sum = || ChecksumThread::start(files.to_vec()).unwrap().finish();
        std::fs::write(files[0].path(), "abc").unwrap();
        std::fs::write(files[1].path(), "").unwrap();
        assert_eq!(sum().unwrap()[0].sha256, abc);
        assert_eq!(damaged(&files), []);
        // The sum is of the bytes, whatever its name is.
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
        let sum = || ChecksumThread::start(vec![Location::Disk(file.clone())]).unwrap().finish();
        std::fs::write(&file, &bytes).unwrap();
        sum().unwrap();
        // A bit of a value, within the 1,024 bytes of `data/11`; between entries there is padding.
        bytes[9216 + 512] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let error = sum().unwrap_err();
        assert!(error.to_string().contains("damaged or cut short"), "{error}");
        assert!(error.hint().unwrap().starts_with("copy"), "{error:?}");
        // Nor is it noted, so that it is refused every time.
        let sums = NotedSums::at(folder.path().join("sums"), 1);
        for _ in 0..2 {
            one(Location::Disk(file.clone()), &sums).unwrap_err();
        }
        assert!(!folder.path().join("sums").exists());
    }

    #[test]
    fn a_damaged_file_of_the_cache_is_found_by_its_note_too() {
        let folder = tempfile::tempdir().unwrap();
        let (sums, blobs) = (NotedSums::at(folder.path().join("sums"), 1), folder.path().join("a/blobs"));
        std::fs::create_dir_all(&blobs).unwrap();
        let text = |name: &str| Location::Disk(blobs.join(name));
        std::fs::write(text("abd").path(), "abd").unwrap();
        let abd = one(text("abd"), &sums).unwrap();
        assert!(sums.hash(&blobs.join("abd")).unwrap().was_noted);
        // The same bytes under the name of others.
        let blob = text(&hex(&Sha256::digest("abc")));
        std::fs::write(blob.path(), "abd").unwrap();
        let found = one(blob.clone(), &sums).unwrap();
        assert_eq!(found.sha256, abd.sha256);
        assert_eq!(damaged(&[blob])[0].found, abd.sha256);
    }
}
