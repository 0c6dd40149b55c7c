//! Directories of outputs: created ones, and ones whose files are published together.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::cleanup::{begin, begin_directories, end, end_directories, remove_empty};
use super::pending_file::temporary_name;
use super::{FileProblem, PendingFile, place};

/// Refuses a path that exists and is not a directory.
fn expect_directory(path: &Path) -> Result<(), FileProblem> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => Err(FileProblem::NotADirectory { path: path.to_path_buf() }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FileProblem::Directory { directory: path.to_path_buf(), source }),
    }
}

/// A directory that is created if it is missing. On drop it is removed if it was created, is empty and is not
/// kept.
#[derive(Debug)]
pub(crate) struct NewDirectory {
    /// The directories created, the innermost first.
    made: Vec<PathBuf>,
}

impl NewDirectory {
    /// Checks that a directory exists, or can be created, and accepts files. Leaves nothing behind.
    pub(crate) fn check(path: &Path) -> Result<(), FileProblem> {
        FileProblem::refuse_url(path)?;
        let _made = NewDirectory::create(path)?;
        PendingFile::create(&path.join("check")).map(drop)
    }

    /// Creates the directory and those above it, if they are missing.
    pub(crate) fn create(path: &Path) -> Result<Self, FileProblem> {
        FileProblem::refuse_url(path)?;
        expect_directory(path)?;
        let failed = |source| FileProblem::Directory { directory: path.to_path_buf(), source };
        NewDirectory::make(path).map_err(failed)
    }

    /// Creates the directory of a plan. A folder of a store needs no creation; the store is asked whether it
    /// accepts an object.
    pub(crate) fn of_plan(path: &Path) -> Result<Self, FileProblem> {
        match place::store_of(path)? {
            None => NewDirectory::create(path),
            Some(_) => {
                place::check(&place::join(path, "plan.json"))?;
                Ok(NewDirectory { made: Vec::new() })
            }
        }
    }

    /// The same, whatever exists there.
    pub(crate) fn make(path: &Path) -> std::io::Result<Self> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made: Vec<PathBuf> = path.ancestors().take_while(is_missing).map(Path::to_path_buf).collect();
        begin_directories(&made);
        // If that fails, it is dropped and removes what was created.
        let folder = NewDirectory { made };
        fs::create_dir_all(path).map(|()| folder)
    }

    /// Keeps the directory.
    pub(crate) fn keep(mut self) {
        self.forget();
    }

    /// Returns what was created, which is then not removed on drop.
    fn forget(&mut self) -> Vec<PathBuf> {
        let made = std::mem::take(&mut self.made);
        end_directories(&made);
        made
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        remove_empty(&self.forget());
    }
}

/// A directory of files under a temporary name. Its files are published once all of them are complete.
#[derive(Debug)]
pub(crate) struct PendingDirectory {
    target: PathBuf,
    temporary: PathBuf,
}

impl PendingDirectory {
    /// Creates `.NAME.tmp-PID` in the directory of `target`.
    pub(crate) fn create(target: &Path) -> Result<Self, FileProblem> {
        let temporary = target.with_file_name(temporary_name(target, std::process::id()));
        let made = begin(&temporary, || fs::create_dir(&temporary));
        made.map_err(|source| FileProblem::make(target, source))?;
        Ok(PendingDirectory { target: target.to_path_buf(), temporary })
    }

    /// Writes a complete file into it.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), FileProblem> {
        let path = self.temporary.join(name);
        fs::write(&path, text).map_err(FileProblem::write(&self.target.join(name)))
    }

    /// Publishes its files. Older files that `is_ours` selects are replaced, others stay.
    pub(crate) fn publish(self, is_ours: impl Fn(&str) -> bool) -> Result<(), FileProblem> {
        clear(&self.target, is_ours)?;
        let place = || {
            if !self.target.exists() {
                return fs::rename(&self.temporary, &self.target);
            }
            for entry in fs::read_dir(&self.temporary)? {
                let entry = entry?;
                fs::rename(entry.path(), self.target.join(entry.file_name()))?;
            }
            fs::remove_dir(&self.temporary)
        };
        end(&self.temporary, place).map_err(FileProblem::write(&self.target))
    }
}

impl Drop for PendingDirectory {
    fn drop(&mut self) {
        // After publishing it has another name.
        let _ = end(&self.temporary, || fs::remove_dir_all(&self.temporary));
    }
}

/// Removes the files of a directory that `is_ours` selects by name, and the directory if nothing else is in
/// it.
pub(crate) fn clear(path: &Path, is_ours: impl Fn(&str) -> bool) -> Result<(), FileProblem> {
    let remove = || -> std::io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && is_ours(&entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    match remove() {
        Ok(()) => remove_empty(&[path.to_path_buf()]),
        Err(error) if error.kind() == ErrorKind::NotFound => (),
        Err(error) => return Err(FileProblem::write(path)(error)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_and_taken_away() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        drop(NewDirectory::create(&path).unwrap());
        assert!(!place.path().join("a").exists(), "nor the one above it");
        let folder = NewDirectory::create(&path).unwrap();
        fs::write(path.join("theirs"), "").unwrap();
        drop(folder);
        fs::remove_file(path.join("theirs")).expect("what is in a folder stays, and the folder with it");
        fs::remove_dir_all(place.path().join("a")).unwrap();
        NewDirectory::create(&path).unwrap().keep();
        drop(NewDirectory::create(&path).unwrap());
        assert!(path.exists(), "it was there before");
        fs::write(place.path().join("file"), "").unwrap();
        let error = NewDirectory::create(&place.path().join("file")).unwrap_err();
        assert!(matches!(error, FileProblem::NotADirectory { .. }), "{error}");
    }

    #[test]
    fn files_appear_together() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("plots");
        fs::create_dir(&target).unwrap();
        let is_ours = |name: &str| name == "old" || name == "new";
        for file in ["old", "theirs"] {
            fs::write(target.join(file), "").unwrap();
        }
        let folder = PendingDirectory::create(&target).unwrap();
        folder.write("new", "text").unwrap();
        assert!(!target.join("new").exists());
        folder.publish(is_ours).unwrap();
        assert!(
            target.join("new").exists() && target.join("theirs").exists() && !target.join("old").exists()
        );
        clear(&target, is_ours).unwrap();
        assert!(target.join("theirs").exists() && !target.join("new").exists());
        fs::remove_file(target.join("theirs")).unwrap();
        clear(&target, is_ours).unwrap();
        clear(&target, is_ours).unwrap();
        assert!(!target.exists());
        drop(PendingDirectory::create(&target).unwrap());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
