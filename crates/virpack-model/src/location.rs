//! Where a model's files are: on disk, or in memory.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use virpack_device::MappedFile;

use crate::ModelError;
use crate::guarded;

/// The file of a model's settings, beside its weights.
pub(crate) const CONFIG: &str = "config.json";

/// The file of a tokenizer that merges letters, beside the weights.
pub(crate) const TOKENIZER: &str = "tokenizer.json";

/// How a pointer of Git LFS begins, and of its forerunner.
const POINTERS: [&str; 2] =
    ["version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/"];

/// Bytes that a pointer has at most, by its specification.
const LARGEST_POINTER: usize = 1024;

/// Most bytes of a file of settings or of an index of shards.
const LARGEST_SETTINGS: u64 = 10_000_000;

/// A file or a directory of a model.
///
/// ```
/// use virpack_model::{Location, MemoryFile};
///
/// static FILES: [MemoryFile; 1] = [MemoryFile { path: "mine/peptide/config.json", bytes: b"{}" }];
/// let mine = Location::memory(&FILES, "mine");
/// assert!(mine.join("peptide").is_directory());
/// assert_eq!(*mine.join("peptide").join("config.json").read()?, b"{}"[..]);
/// assert!(!mine.join("nucleotide").exists());
/// # Ok::<(), virpack_model::ModelError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// On disk.
    Disk(PathBuf),
    /// Among files in memory.
    Memory {
        /// All of them.
        files: &'static [MemoryFile],
        /// The path of one, or of a directory of them.
        path: String,
    },
}

/// A file in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MemoryFile {
    /// Its path; directories are separated by `/`.
    pub path: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

/// The bytes of a file that stays open.
#[derive(Debug)]
pub(crate) enum Bytes {
    Mapped(MappedFile),
    Memory(&'static [u8]),
}

impl Location {
    /// Returns a file or directory among files in memory.
    #[must_use]
    pub fn memory(files: &'static [MemoryFile], path: &str) -> Self {
        Location::Memory { files, path: path.to_owned() }
    }

    /// Returns what is called `name` in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Location::Disk(path) => Location::Disk(path.join(name)),
            Location::Memory { files, path } => Location::Memory { files, path: format!("{path}/{name}") },
        }
    }

    /// Returns the directory that it is in.
    ///
    /// ```
    /// use virpack_model::mini;
    ///
    /// let config = mini::location().join("peptide").join("config.json");
    /// assert_eq!(config.parent(), mini::location().join("peptide"));
    /// ```
    #[must_use]
    pub fn parent(&self) -> Self {
        match self {
            Location::Disk(path) => Location::Disk(path.parent().unwrap_or(Path::new("")).to_owned()),
            Location::Memory { files, path } => {
                Location::memory(files, path.rsplit_once('/').map_or("", |(parent, _)| parent))
            }
        }
    }

    /// Its path, for people and for errors: one in memory is on no disk.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Location::Disk(path) => path.clone(),
            Location::Memory { path, .. } => path.into(),
        }
    }

    /// Returns whether there is a file or a directory.
    #[must_use]
    pub fn exists(&self) -> bool {
        match self {
            Location::Disk(path) => path.exists(),
            Location::Memory { .. } => self.in_memory().is_some() || self.is_directory(),
        }
    }

    /// Checks that there is a file or a directory.
    ///
    /// # Errors
    ///
    /// [`ModelError::ReadModel`] if it does not exist.
    ///
    /// ```
    /// use virpack_model::mini;
    ///
    /// mini::location().join("peptide").check()?;
    /// let error = mini::location().join("proteins").check().unwrap_err();
    /// assert_eq!(error.to_string(), "cannot read virpack-mini/proteins: entity not found");
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn check(&self) -> Result<(), ModelError> {
        match self {
            Location::Disk(path) => std::fs::metadata(path).map(drop).map_err(|source| self.failed(source)),
            Location::Memory { .. } if self.exists() => Ok(()),
            Location::Memory { .. } => Err(self.failed(io::ErrorKind::NotFound.into())),
        }
    }

    /// Returns whether there is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        match self {
            Location::Disk(path) => path.is_dir(),
            Location::Memory { .. } => self.below().next().is_some(),
        }
    }

    /// Returns the names in the directory, in alphabetical order; those that are not UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// [`ModelError::ReadModel`] for a directory that cannot be read.
    ///
    /// ```
    /// let names = virpack_model::mini::location().join("peptide").names()?;
    /// assert_eq!(names, ["config.json", "model.safetensors"]);
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn names(&self) -> Result<Vec<String>, ModelError> {
        let mut names: Vec<String> = match self {
            Location::Disk(path) => {
                let entries = std::fs::read_dir(path).map_err(|source| self.failed(source))?;
                entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
            }
            Location::Memory { .. } => {
                let first = |rest: &str| rest.split('/').next().map(str::to_owned);
                self.below().filter_map(first).collect()
            }
        };
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Returns all bytes of a file of settings, which has 10 MB at most.
    ///
    /// # Errors
    ///
    /// [`ModelError::ReadModel`], also for a larger file.
    ///
    /// ```
    /// let config = virpack_model::mini::location().join("peptide").join("config.json");
    /// assert!(config.read()?.starts_with(b"{"));
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn read(&self) -> Result<Cow<'static, [u8]>, ModelError> {
        self.read_up_to(LARGEST_SETTINGS)
    }

    /// Returns all bytes of the file, which has `most` bytes at most.
    pub(crate) fn read_up_to(&self, most: u64) -> Result<Cow<'static, [u8]>, ModelError> {
        match self {
            Location::Disk(path) => {
                let bytes = guarded::read_linked(path, most).map_err(|source| self.failed(source))?;
                self.refuse_pointer(&bytes)?;
                Ok(bytes.into())
            }
            Location::Memory { .. } => Ok(self.expect_in_memory()?.into()),
        }
    }

    /// Returns the file's bytes, mapped where they are on disk.
    pub(crate) fn open(&self) -> Result<Bytes, ModelError> {
        match self {
            Location::Disk(path) => {
                let file = guarded::open_linked(path).and_then(|file| MappedFile::of(&file, path));
                let file = file.map_err(|source| self.failed(source))?;
                self.refuse_pointer(file.bytes(0..file.len().min(LARGEST_POINTER + 1)).unwrap_or_default())?;
                Ok(Bytes::Mapped(file))
            }
            Location::Memory { .. } => Ok(Bytes::Memory(self.expect_in_memory()?)),
        }
    }

    /// Returns the bytes of a file in memory.
    pub(crate) fn in_memory(&self) -> Option<&'static [u8]> {
        let Location::Memory { files, path } = self else { return None };
        files.iter().find(|file| file.path == path).map(|file| file.bytes)
    }

    fn expect_in_memory(&self) -> Result<&'static [u8], ModelError> {
        self.in_memory().ok_or_else(|| self.failed(io::ErrorKind::NotFound.into()))
    }

    /// Returns the paths of files in memory that are in this directory, from here on.
    fn below(&self) -> impl Iterator<Item = &'static str> {
        let (files, path) = match self {
            Location::Disk(_) => (&[][..], ""),
            Location::Memory { files, path } => (*files, &**path),
        };
        files.iter().filter_map(move |file| file.path.strip_prefix(path)?.strip_prefix('/'))
    }

    /// Refuses the few lines that Git leaves where Git LFS keeps the file.
    fn refuse_pointer(&self, bytes: &[u8]) -> Result<(), ModelError> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LARGEST_POINTER);
        let Some(text) = text.filter(|text| POINTERS.iter().any(|start| text.starts_with(start))) else {
            return Ok(());
        };
        let bytes = text.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse().ok());
        Err(ModelError::LfsPointer { path: self.path(), bytes })
    }

    fn failed(&self, source: io::Error) -> ModelError {
        ModelError::ReadModel { path: self.path(), source }
    }
}

impl Bytes {
    pub(crate) fn len(&self) -> usize {
        match self {
            Bytes::Mapped(file) => file.len(),
            Bytes::Memory(bytes) => bytes.len(),
        }
    }

    pub(crate) fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        match self {
            Bytes::Mapped(file) => file.bytes(range),
            Bytes::Memory(bytes) => bytes.get(range),
        }
    }

    /// Gives pages that hold `range` back, where they are a file's.
    pub(crate) fn release(&self, range: Range<usize>) {
        if let Bytes::Mapped(file) = self {
            file.release(range);
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

/// Without the bytes.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Disk(path) => f.debug_tuple("Disk").field(path).finish(),
            Location::Memory { path, .. } => f.debug_tuple("Memory").field(path).finish(),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Location::Disk(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Location::Disk(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILES: [MemoryFile; 3] = [
        MemoryFile { path: "m/b/two", bytes: b"2" },
        MemoryFile { path: "m/b/one", bytes: b"1" },
        MemoryFile { path: "m/bc", bytes: b"" },
    ];

    #[test]
    fn memory_is_as_a_disk_with_the_same_files() {
        let disk = tempfile::tempdir().unwrap();
        for file in &FILES {
            let path = disk.path().join(file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.bytes).unwrap();
        }
        let both = [Location::from(disk.path()).join("m"), Location::memory(&FILES, "m")];
        for place in &both {
            assert_eq!(place.names().unwrap(), ["b", "bc"]);
            assert_eq!(place.join("b").names().unwrap(), ["one", "two"]);
            let files = ["b", "b/one", "bc", "c", "b/on"];
            let kinds = files.map(|name| (place.join(name).exists(), place.join(name).is_directory()));
            let expected = [(true, true), (true, false), (true, false), (false, false), (false, false)];
            assert_eq!(kinds, expected);
            let file = place.join("b").join("two");
            assert_eq!(*file.read().unwrap(), b"2"[..]);
            assert_eq!(file.open().unwrap().bytes(0..1), Some(&b"2"[..]));
            assert_eq!(file.open().unwrap().bytes(0..2), None);
            assert_eq!(file.parent(), place.join("b"));
            let error = place.join("c").read().unwrap_err().to_string();
            assert!(error.starts_with(&format!("cannot read {}", place.join("c"))), "{error}");
            assert!(place.join("c").open().is_err() && place.join("b").read().is_err());
        }
        assert_eq!(both[1].join("b").to_string(), "m/b");
    }
}
