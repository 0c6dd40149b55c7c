//! The cache's layout, which is that of Python's `huggingface_hub`: `blobs/ETAG`, `snapshots/COMMIT/NAME` that link to
//! them, `refs/REVISION` that holds a commit, and `.locks/` beside the repositories.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::guarded;

/// One repository's folder in the cache.
pub(super) struct RepositoryDir {
    pub(super) path: PathBuf,
    locks: PathBuf,
}

impl RepositoryDir {
    pub(super) fn of(cache: &Path, repository: &str) -> Self {
        let name = format!("models--{}", repository.replace('/', "--"));
        Self { path: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// Returns the bytes of a file, by its ETag.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.path.join("blobs").join(etag)
    }

    /// Returns what a broken download left of it, as `huggingface_hub` calls it too.
    pub(super) fn part(&self, etag: &str) -> PathBuf {
        self.path.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// Returns a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.path.join("snapshots").join(commit)
    }

    /// Waits until no other process fetches this file; until it is dropped none begins.
    pub(super) fn lock(&self, etag: &str) -> io::Result<File> {
        fs::create_dir_all(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let lock = guarded::open_in_place(&path, |options| _ = options.write(true))?;
        match lock.lock() {
            // Some file systems know no locks: two downloads there take turns by luck, and the hash finds what is mixed.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(lock),
            Err(error) => Err(error),
            Ok(()) => Ok(lock),
        }
    }

    /// Gives a blob its name among a commit's files.
    pub(super) fn link(&self, etag: &str, commit: &str, name: &str) -> io::Result<PathBuf> {
        let snapshot = self.snapshot(commit);
        fs::create_dir_all(&snapshot)?;
        let file = snapshot.join(name);
        if fs::symlink_metadata(&file).is_ok() {
            fs::remove_file(&file)?;
        }
        link(&self.blob(etag), &Path::new("../../blobs").join(etag), &file)?;
        Ok(file)
    }

    /// Says which commit a branch or a tag is.
    pub(super) fn refer(&self, revision: &str, commit: &str) -> io::Result<()> {
        let file = self.path.join("refs").join(revision);
        fs::create_dir_all(file.parent().unwrap_or(&self.path))?;
        let mut file = guarded::open_in_place(&file, |options| _ = options.write(true))?;
        file.set_len(0)?;
        file.write_all(commit.as_bytes())
    }
}

#[cfg(unix)]
fn link(_blob: &Path, relative: &Path, file: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(relative, file)
}

/// Links need rights there that few have: a copy, as `huggingface_hub` makes it.
#[cfg(not(unix))]
fn link(blob: &Path, _relative: &Path, file: &Path) -> io::Result<()> {
    fs::copy(blob, file).map(drop)
}
