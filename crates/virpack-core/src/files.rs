//! Files that appear complete or not at all, on a disk or in a store: temporary names, publishing, cleaning
//! up, opening files that others may have planted, and hashing of what is read.

pub(crate) mod cleanup;
mod error;
mod hashing;
mod pending_dir;
mod pending_file;
pub(crate) mod place;
mod publish;
pub(crate) mod scratch;
mod write_behind;

use std::fs::File;
use std::path::{Path, PathBuf};

pub(crate) use error::{FileProblem, KEY_HINT};
pub(crate) use hashing::{HashingReader, sha256_of};
pub(crate) use pending_dir::{NewDirectory, PendingDirectory, clear};
pub(crate) use pending_file::{PendingFile, remove_leftovers};
pub(crate) use publish::{StagedFiles, absent};
pub(crate) use write_behind::WriteBehind;

/// Returns the directory of `path`.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Makes renames in `directory` survive a power failure, if the file system can.
pub(crate) fn sync_directory(directory: &Path) {
    if place::url_of(directory).is_some() {
        return;
    }
    // Windows and some network file systems cannot sync a directory; the files themselves are synced.
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}
