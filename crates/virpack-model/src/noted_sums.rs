//! SHA-256 of large files that were hashed before, found by their BLAKE3.
//!
//! SHA-256 takes most of a second for each gigabyte, however many cores a machine has, and a model is loaded
//! faster. BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn 2020) is some four times as fast. So the
//! SHA-256 of a file is noted under its BLAKE3, and the next run hashes the same bytes by BLAKE3 alone. A
//! note is keyed by the file's contents, never by its name, path or time.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use virpack_device::user_cache;
use virpack_seq::reader::hex;

use crate::checksum::{for_each_piece, is_sha256};
use crate::guarded;

/// Below this size, bytes, nothing is noted: SHA-256 takes no time that is felt.
const LARGE: u64 = 1 << 26;

/// What a note may hold: 64 digits and a line's end.
const LONGEST: u64 = 65;

/// A folder of notes, a file each: its name is the size and the BLAKE3 of what was hashed, its text the
/// SHA-256.
#[derive(Clone, Debug)]
pub(crate) struct NotedSums {
    folder: Option<PathBuf>,
    large: u64,
}

/// A file's size and SHA-256, and what is to be noted of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hashed {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The name of its note; None for a file that is small, or noted already.
    pub(crate) note: Option<String>,
    /// Whether a note gave the SHA-256.
    pub(crate) was_noted: bool,
}

impl NotedSums {
    /// In the user's cache, `virpack/sums`; without one nothing is noted.
    pub(crate) fn of_user() -> NotedSums {
        NotedSums { folder: user_cache().map(|cache| cache.join("sums")), large: LARGE }
    }

    /// No notes.
    pub(crate) fn none() -> NotedSums {
        NotedSums { folder: None, large: u64::MAX }
    }

    #[cfg(test)]
    pub(crate) fn at(folder: PathBuf, large: u64) -> NotedSums {
        NotedSums { folder: Some(folder), large }
    }

    /// Hashes a file.
    pub(crate) fn hash(&self, path: &Path) -> io::Result<Hashed> {
        let mut file = guarded::open_linked(path)?;
        let size = file.metadata()?.len();
        let is_large = size >= self.large && self.folder.is_some();
        if is_large && self.has_size(size) {
            let (bytes, name) = blake3_of(&mut file)?;
            if let Some(sha256) = self.noted(&name) {
                return Ok(Hashed { bytes, sha256, note: None, was_noted: true });
            }
            file.rewind()?;
        }
        let (mut sha256, mut blake3) = (Sha256::new(), is_large.then(blake3::Hasher::new));
        let bytes = for_each_piece(&mut file, |piece| {
            sha256.update(piece);
            if let Some(blake3) = &mut blake3 {
                blake3.update(piece);
            }
        })?;
        let note = blake3.map(|blake3| name_of(bytes, &blake3));
        Ok(Hashed { bytes, sha256: hex(&sha256.finalize()), note, was_noted: false })
    }

    /// Notes a file's SHA-256. A cache that cannot be written costs time, nothing else.
    pub(crate) fn note(&self, hashed: &Hashed) {
        let (Some(folder), Some(name)) = (&self.folder, &hashed.note) else { return };
        let write = || {
            fs::create_dir_all(folder)?;
            let aside = folder.join(format!("{name}.{}", std::process::id()));
            fs::write(&aside, &hashed.sha256)?;
            fs::rename(&aside, folder.join(name))
        };
        let _: io::Result<()> = write();
    }

    /// Returns whether a file of this size was ever noted: only then is BLAKE3 worth its time.
    fn has_size(&self, bytes: u64) -> bool {
        let entries = self.folder.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let beginning = format!("{bytes}-");
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(&beginning))
    }

    /// Returns the SHA-256 under this name; any other content is ignored.
    fn noted(&self, name: &str) -> Option<String> {
        let text = guarded::read(&self.folder.as_ref()?.join(name), LONGEST).ok()?;
        let sha256 = String::from_utf8(text).ok()?.trim_end().to_ascii_lowercase();
        is_sha256(&sha256).then_some(sha256)
    }
}

fn blake3_of(file: &mut File) -> io::Result<(u64, String)> {
    let mut blake3 = blake3::Hasher::new();
    let bytes = for_each_piece(file, |piece| {
        blake3.update(piece);
    })?;
    let name = name_of(bytes, &blake3);
    Ok((bytes, name))
}

fn name_of(bytes: u64, blake3: &blake3::Hasher) -> String {
    format!("{bytes}-{}", blake3.finalize().to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn abc() -> (tempfile::TempDir, PathBuf, NotedSums) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights");
        fs::write(&file, "abc").unwrap();
        let sums = NotedSums::at(folder.path().join("cache/sums"), 3);
        (folder, file, sums)
    }

    #[test]
    fn a_note_is_found_by_what_a_file_holds() {
        let (folder, file, sums) = abc();
        let first = sums.hash(&file).unwrap();
        assert_eq!((first.bytes, &*first.sha256, first.was_noted), (3, ABC, false));
        sums.note(&first);
        // By another name, too.
        let moved = folder.path().join("moved");
        fs::rename(&file, &moved).unwrap();
        let again = sums.hash(&moved).unwrap();
        assert_eq!(again, Hashed { note: None, was_noted: true, ..first });
        // Other bytes of the same name, size and time have their own sum.
        let time = fs::metadata(&moved).unwrap().modified().unwrap();
        fs::write(&moved, "abd").unwrap();
        File::options().append(true).open(&moved).unwrap().set_modified(time).unwrap();
        let other = sums.hash(&moved).unwrap();
        assert_eq!(other.sha256, hex(&Sha256::digest("abd")));
        assert!(!other.was_noted && other.note.is_some());
    }

    #[test]
    fn a_file_with_an_invalid_note_is_hashed() {
        let (_folder, file, sums) = abc();
        let hashed = sums.hash(&file).unwrap();
        sums.note(&hashed);
        let note = sums.folder.as_ref().unwrap().join(hashed.note.as_ref().unwrap());
        assert_eq!(fs::read_to_string(&note).unwrap(), ABC);
        for text in ["", "abc", &ABC[1..], &ABC.replace('b', "g"), &ABC.repeat(2)] {
            fs::write(&note, text).unwrap();
            assert_eq!(sums.hash(&file).unwrap(), hashed, "{text:?}");
        }
        fs::remove_file(&note).unwrap();
        fs::create_dir(&note).unwrap();
        assert_eq!(sums.hash(&file).unwrap(), hashed, "a folder");
    }

    #[test]
    fn small_files_and_users_without_a_cache_have_no_notes() {
        let (folder, file, sums) = abc();
        for sums in [NotedSums { large: 4, ..sums }, NotedSums::none()] {
            let hashed = sums.hash(&file).unwrap();
            assert_eq!(hashed, Hashed { bytes: 3, sha256: ABC.to_owned(), note: None, was_noted: false });
            sums.note(&hashed);
        }
        assert!(!folder.path().join("cache").exists());
    }
}
