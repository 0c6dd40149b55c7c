//! A directory of outputs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::OutputError;
use super::aside::{Aside, abandoned_with_the_process, no_longer_abandoned};

/// Directories that this process has made and not kept yet, the innermost first: an interrupted process runs no
/// destructors.
static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Takes away the directories that an interrupted run has made; the files in them are gone by then.
pub(super) fn abandon() {
    remove_empty(&MADE.lock().unwrap_or_else(PoisonError::into_inner));
}

/// One that is not empty stays: what is in it is somebody's.
fn remove_empty(innermost_first: &[PathBuf]) {
    for directory in innermost_first {
        let _ = fs::remove_dir(directory);
    }
}

/// Refuses what is there and no directory.
fn expect_directory(path: &Path) -> Result<(), OutputError> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => Err(OutputError::NotADirectory { path: path.to_path_buf() }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(OutputError::Directory { directory: path.to_path_buf(), source }),
    }
}

/// A directory that is made where it is missing, and taken away again, if it was made and is empty, unless kept.
#[derive(Debug)]
pub(crate) struct Folder {
    /// What was made, the innermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Checks that a directory is there, or can be made, and takes files; leaves nothing there.
    pub(crate) fn check(path: &Path) -> Result<(), OutputError> {
        let _made = Folder::create(path)?;
        Aside::create(&path.join("check")).map(drop)
    }

    /// Makes the directory, and those above it, where it is missing.
    pub(crate) fn create(path: &Path) -> Result<Self, OutputError> {
        expect_directory(path)?;
        let failed = |source| OutputError::Directory { directory: path.to_path_buf(), source };
        Folder::make(path).map_err(failed)
    }

    /// The same, whatever may stand there.
    pub(crate) fn make(path: &Path) -> std::io::Result<Self> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made: Vec<PathBuf> = path.ancestors().take_while(is_missing).map(Path::to_path_buf).collect();
        // What is made later may lie in what was made before.
        MADE.lock().unwrap_or_else(PoisonError::into_inner).splice(0..0, made.iter().cloned());
        // Dropped where that fails, it takes away what was made.
        let folder = Folder { made };
        fs::create_dir_all(path).map(|()| folder)
    }

    /// Leaves it where it is.
    pub(crate) fn keep(mut self) {
        self.forget();
    }

    /// What was made is nobody's to take away any more.
    fn forget(&mut self) -> Vec<PathBuf> {
        let made = std::mem::take(&mut self.made);
        MADE.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| !made.contains(path));
        made
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove_empty(&self.forget());
    }
}

/// A directory of files that is written under a temporary name, whose files get their places when all of them are
/// whole.
#[derive(Debug)]
pub(crate) struct AsideFolder {
    target: PathBuf,
    temporary: PathBuf,
}

impl AsideFolder {
    /// Makes `.NAME.tmp-PID` beside `target`.
    pub(crate) fn create(target: &Path) -> Result<Self, OutputError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temporary = target.with_file_name(format!(".{name}.tmp-{}", std::process::id()));
        let made = abandoned_with_the_process(&temporary, || fs::create_dir(&temporary));
        made.map_err(|source| OutputError::make(target, source))?;
        Ok(AsideFolder { target: target.to_path_buf(), temporary })
    }

    /// Writes a whole file into it.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), OutputError> {
        let path = self.temporary.join(name);
        fs::write(&path, text).map_err(OutputError::write(&self.target.join(name)))
    }

    /// Gives its files their places; those of an older one that `is_ours` give way, others stay.
    pub(crate) fn publish(self, is_ours: impl Fn(&str) -> bool) -> Result<(), OutputError> {
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
        no_longer_abandoned(&self.temporary, place).map_err(OutputError::write(&self.target))
    }
}

impl Drop for AsideFolder {
    fn drop(&mut self) {
        // Published, it has another name.
        let _ = no_longer_abandoned(&self.temporary, || fs::remove_dir_all(&self.temporary));
    }
}

/// Removes the files of a directory that `is_ours` by their names, and the directory if nothing else is in it.
pub(crate) fn clear(path: &Path, is_ours: impl Fn(&str) -> bool) -> Result<(), OutputError> {
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
        Err(error) => return Err(OutputError::write(path)(error)),
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
        drop(Folder::create(&path).unwrap());
        assert!(!place.path().join("a").exists(), "nor the one above it");
        let folder = Folder::create(&path).unwrap();
        fs::write(path.join("theirs"), "").unwrap();
        drop(folder);
        fs::remove_file(path.join("theirs")).expect("what is in a folder stays, and the folder with it");
        fs::remove_dir_all(place.path().join("a")).unwrap();
        Folder::create(&path).unwrap().keep();
        drop(Folder::create(&path).unwrap());
        assert!(path.exists(), "it was there before");
        fs::write(place.path().join("file"), "").unwrap();
        let error = Folder::create(&place.path().join("file")).unwrap_err();
        assert!(matches!(error, OutputError::NotADirectory { .. }), "{error}");
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
        let folder = AsideFolder::create(&target).unwrap();
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
        drop(AsideFolder::create(&target).unwrap());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
