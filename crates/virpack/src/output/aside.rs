//! A file written aside and named only when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::OutputError;

/// Every temporary file that this process has made and not yet named or removed: an interrupted process runs no
/// destructors.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what an interrupted run has begun, and keeps new files from being begun.
pub(super) fn abandon() {
    let unfinished = unfinished();
    unfinished.iter().for_each(|path| remove_begun(path));
    super::folder::abandon();
    // Whoever would make or name a file from here on waits for the lock, and the process ends.
    std::mem::forget(unfinished);
}

/// Removes a file or a directory that has a temporary name, if it has it still.
fn remove_begun(path: &Path) {
    if fs::remove_file(path).is_err() {
        let _ = fs::remove_dir_all(path);
    }
}

/// Makes something under a temporary name that [`abandon`] then removes.
pub(crate) fn abandoned_with_the_process(
    path: &Path,
    make: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let mut unfinished = unfinished();
    make()?;
    unfinished.push(path.to_path_buf());
    Ok(())
}

/// Names or removes what stands under a temporary name, which [`abandon`] then leaves alone.
pub(crate) fn no_longer_abandoned(path: &Path, end: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut unfinished = unfinished();
    end()?;
    unfinished.retain(|other| other != path);
    Ok(())
}

/// A file that is written under a temporary name beside its destination.
///
/// [`publish`](Aside::publish) renames it, which on one file system is atomic; dropped before that, it
/// is removed. So nothing half-written ever stands under the asked name.
#[derive(Debug)]
pub(crate) struct Aside {
    target: PathBuf,
    temporary: PathBuf,
    keep: bool,
}

impl Aside {
    /// Makes `.NAME.tmp-PID` in the directory of `target` and opens it.
    pub(crate) fn create(target: &Path) -> Result<(Aside, File), OutputError> {
        let directory = directory_of(target);
        let name = temporary_name(target, std::process::id());
        let mut attempt = 0;
        let mut unfinished = unfinished();
        loop {
            // Process ids come again, in containers above all: a dead run's file is left alone.
            let again = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let temporary = directory.join(format!("{name}{again}"));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    unfinished.push(temporary.clone());
                    return Ok((Aside { target: target.to_path_buf(), temporary, keep: false }, file));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 1000 => attempt += 1,
                Err(source) => return Err(OutputError::make(target, source)),
            }
        }
    }

    /// Whether a name is one that files have until they are whole.
    pub(crate) fn is_temporary(name: &str) -> bool {
        name.starts_with('.') && name.contains(".tmp-")
    }

    /// Another name in the same directory for the end.
    pub(super) fn rename(&mut self, target: PathBuf) {
        self.target = target;
    }

    /// The name the file gets in the end.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where the file stands until it has its name.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Gives the file, which the caller has synced, its name; an older file of that name is replaced.
    pub(crate) fn publish(&mut self) -> io::Result<()> {
        let mut unfinished = unfinished();
        fs::rename(&self.temporary, &self.target)?;
        unfinished.retain(|path| *path != self.temporary);
        self.keep = true;
        Ok(())
    }

    /// Keeps the file under its temporary name: it is whole, but could not be published.
    pub(super) fn keep(mut self) {
        unfinished().retain(|path| *path != self.temporary);
        self.keep = true;
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.keep {
            unfinished().retain(|path| *path != self.temporary);
            // A destructor has nobody to tell; the name shows what the file is.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn temporary_name(target: &Path, process: u32) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.tmp-{process}")
}

/// Removes the files, and directories of files, that a process which is dead has begun for `targets`, where they can be
/// removed.
pub(crate) fn remove_leftovers(targets: &[PathBuf], process: u32) {
    for target in targets {
        let first = temporary_name(target, process);
        let is_left = |name: &str| match name.strip_prefix(&first) {
            Some("") => true,
            Some(rest) => rest.strip_prefix('-').is_some_and(|attempt| attempt.parse::<u32>().is_ok()),
            None => false,
        };
        for entry in fs::read_dir(directory_of(target)).into_iter().flatten().flatten() {
            if is_left(&entry.file_name().to_string_lossy()) {
                remove_begun(&entry.path());
            }
        }
    }
}

/// The directory that holds `path`.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Makes renames in `directory` outlast a power cut, where the file system can.
pub(crate) fn sync_directory(directory: &Path) {
    // Windows and some network file systems cannot sync a directory; the files themselves are synced.
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("emb.npy");
        let (mut aside, mut file) = Aside::create(&target).unwrap();
        let (second, _) = Aside::create(&target).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!target.exists());
        drop(second);
        aside.publish().unwrap();
        drop(aside);
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Aside::create(Path::new("/no/such/place/emb.npy")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write into /no/such/place: "), "{error}");
        assert!(error.to_string().contains("hint: make the directory first"), "{error}");
    }
}
