//! Removes what an interrupted process has begun, because it runs no destructors.

use parking_lot::{Mutex, MutexGuard};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What this process has begun and not yet renamed, kept or removed.
static BEGUN: Mutex<UnfinishedOutputs> =
    Mutex::new(UnfinishedOutputs { temporary: Vec::new(), directories: Vec::new() });

struct UnfinishedOutputs {
    /// Files, and directories of files, under temporary names.
    temporary: Vec<PathBuf>,
    /// Directories that were created for outputs, the innermost first.
    directories: Vec<PathBuf>,
}

fn begun() -> MutexGuard<'static, UnfinishedOutputs> {
    BEGUN.lock()
}

/// Removes what an interrupted run has begun, and prevents anything new from being begun.
pub(crate) fn abandon() {
    let begun = begun();
    begun.temporary.iter().for_each(|path| remove_begun(path));
    remove_empty(&begun.directories);
    // A thread that would create or rename a file from here on waits for the lock until the process ends.
    std::mem::forget(begun);
}

/// Creates something under a temporary name, which [`abandon`] would remove.
pub(crate) fn begin<T>(path: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut begun = begun();
    let made = make()?;
    begun.temporary.push(path.to_path_buf());
    Ok(made)
}

/// Renames, keeps or removes what has a temporary name; [`abandon`] then ignores it.
pub(crate) fn end(path: &Path, end: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut begun = begun();
    end()?;
    begun.temporary.retain(|other| other != path);
    Ok(())
}

/// Records directories that are about to be created, the innermost first.
pub(super) fn begin_directories(made: &[PathBuf]) {
    // Later directories may be inside earlier ones.
    begun().directories.splice(0..0, made.iter().cloned());
}

/// Keeps directories.
pub(super) fn end_directories(made: &[PathBuf]) {
    begun().directories.retain(|path| !made.contains(path));
}

/// Removes a file, or a directory of files, if it still has its temporary name.
pub(super) fn remove_begun(path: &Path) {
    if fs::remove_file(path).is_err() {
        // virpack creates no directories in it. A directory inside it is not virpack's, and stays.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let _ = fs::remove_dir(path);
    }
}

/// Removes empty directories. A directory that is not empty stays, because its contents are not virpack's.
pub(super) fn remove_empty(innermost_first: &[PathBuf]) {
    for directory in innermost_first {
        let _ = fs::remove_dir(directory);
    }
}
