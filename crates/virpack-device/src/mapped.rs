//! Files read in place: the one safe face of `mmap` in virpack.

#[cfg(unix)]
mod lost;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

/// A file mapped read-only, whose pages can be given back one range at a time.
///
/// A model's weights are read tensor by tensor; giving back each tensor's pages once it is copied keeps the
/// peak at the owned copies plus one piece, never twice the model.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("weights");
/// std::fs::write(&path, b"0123456789")?;
/// let file = virpack_device::MappedFile::open(&path)?;
/// assert_eq!(file.bytes(2..5), Some(&b"234"[..]));
/// file.release(2..5);
/// assert_eq!(file.bytes(2..5), Some(&b"234"[..])); // read again from the file
/// assert_eq!(file.bytes(5..11), None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct MappedFile {
    // Before the map: what is not mapped any more is not watched.
    #[cfg(unix)]
    _watch: lost::Watch,
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    ///
    /// The system's error for a file that cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(&File::open(path)?, path)
    }

    /// Maps `file`, which was opened at `path`.
    ///
    /// # Errors
    ///
    /// The system's error for a file that cannot be mapped.
    pub fn of(file: &File, path: &Path) -> io::Result<Self> {
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // SAFETY: the map is read-only and private to this value, so nothing in this process writes to it.
        // Another process that changes the file changes what is read: every byte pattern is a valid `u8`, and
        // readers check lengths against `len`, which never changes. One that truncates the file makes a later
        // read of the lost pages end the process, with a message (`lost.rs`).
        let map = unsafe { Mmap::map(file)? };
        #[cfg(not(unix))]
        let _ = path;
        Ok(Self {
            #[cfg(unix)]
            _watch: lost::Watch::start(&map, path),
            map,
        })
    }

    /// Length of the file when it was opened, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns whether the file had no bytes when it was opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Returns the bytes in `range`, or nothing where it reaches beyond the file.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        self.map.get(range)
    }

    /// Gives the pages that hold `range` back to the system; reading them again reads the file again.
    ///
    /// Advice only: where the system has no such call, or refuses it, nothing happens.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Some(len) = range.end.checked_sub(range.start)
            && len > 0
            && range.end <= self.map.len()
        {
            // SAFETY: MADV_DONTNEED is unsafe where it throws away what was written to a private map. This map
            // is read-only: a dropped page is read from the file again at the next use, so slices lent by
            // `bytes`, these and those of neighbours on the same page, stay valid and keep their contents.
            let _advice_only = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, len)
            };
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_has_no_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mapped = MappedFile::open(file.path()).unwrap();
        assert!(mapped.is_empty());
        assert_eq!(mapped.bytes(0..0), Some(&[][..]));
        assert_eq!(mapped.bytes(0..1), None);
        mapped.release(0..0);
    }

    #[test]
    fn a_missing_file_and_a_directory_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(MappedFile::open(folder.path()).is_err());
        assert!(MappedFile::open(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn released_pages_read_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(file.path(), &bytes).unwrap();
        let mapped = MappedFile::open(file.path()).unwrap();
        for range in [0..100_000, 4_095..4_097, 50_000..99_999, 0..200_000] {
            mapped.release(range);
            assert_eq!(mapped.bytes(0..mapped.len()), Some(&bytes[..]));
        }
    }
}
