//! What a process that is interrupted must take away: it runs no destructors.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this process has begun and neither named, kept nor removed.
static BEGUN: Mutex<UnfinishedOutputs> =
    Mutex::new(UnfinishedOutputs { temporary: Vec::new(), directories: Vec::new() });

struct UnfinishedOutputs {
    /// Files, and directories of files, under temporary names.
    temporary: Vec<PathBuf>,
    /// Directories that were made for outputs, the innermost first.
    directories: Vec<PathBuf>,
}

fn begun() -> MutexGuard<'static, UnfinishedOutputs> {
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what an interrupted run has begun, and keeps anything new from being begun.
pub(crate) fn abandon() {
    let begun = begun();
    begun.temporary.iter().for_each(|path| remove_begun(path));
    remove_empty(&begun.directories);
    // A thread that would make or name a file from here on waits for the lock, and the process ends.
    std::mem::forget(begun);
}

/// Makes something under a temporary name that [`abandon`] then removes.
pub(crate) fn begin<T>(path: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut begun = begun();
    let made = make()?;
    begun.temporary.push(path.to_path_buf());
    Ok(made)
}

/// Names, keeps or removes what stands under a temporary name, which [`abandon`] then leaves alone.
pub(crate) fn end(path: &Path, end: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut begun = begun();
    end()?;
    begun.temporary.retain(|other| other != path);
    Ok(())
}

/// Notes directories that are about to be made, the innermost first.
pub(super) fn begin_directories(made: &[PathBuf]) {
    // What is made later may lie in what was made before.
    begun().directories.splice(0..0, made.iter().cloned());
}

/// Leaves directories where they are.
pub(super) fn end_directories(made: &[PathBuf]) {
    begun().directories.retain(|path| !made.contains(path));
}

/// Removes a file, or a directory of files, that has a temporary name, if it has it still.
pub(super) fn remove_begun(path: &Path) {
    if fs::remove_file(path).is_err() {
        // virpack makes no directories in it: what is deeper is not virpack's, and keeps it.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let _ = fs::remove_dir(path);
    }
}

/// Removes directories that are empty; one that is not stays: what is in it is somebody's.
pub(super) fn remove_empty(innermost_first: &[PathBuf]) {
    for directory in innermost_first {
        let _ = fs::remove_dir(directory);
    }
}
