//! Publishes the files of one run together, the main file last.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::pending_file::Kept;
use super::place::{self, remove};
use super::{FileProblem, PendingFile, directory_of, sync_directory};

/// The files of one run, each complete and synced, none of them renamed.
pub(crate) struct StagedFiles {
    /// The requested file.
    pub(crate) main: PendingFile,
    /// The tables that belong to it.
    pub(crate) sides: Vec<PendingFile>,
}

/// What happens to existing files of these names.
#[derive(Clone, Copy, PartialEq)]
enum Older {
    /// They are an error.
    Refused,
    /// The main file is removed before the others change.
    Removed,
    /// Each stays until the new file replaces it.
    Replaced,
}

impl StagedFiles {
    /// Renames the side files and then the main file, so that the main file appears only when everything
    /// exists. With `replace`, existing files are replaced and those of `stale` are removed.
    ///
    /// If a file cannot be renamed, those that remain are kept: they may be the result of hours.
    pub(crate) fn publish(self, replace: bool, stale: &[PathBuf]) -> Result<(), FileProblem> {
        self.publish_as(if replace { Older::Removed } else { Older::Refused }, stale)
    }

    /// Does the same over the files of a complete run: the old main file stays until the new one replaces it.
    /// The caller has recorded that the files change.
    pub(crate) fn publish_over(self, stale: &[PathBuf]) -> Result<(), FileProblem> {
        self.publish_as(Older::Replaced, stale)
    }

    fn publish_as(mut self, older: Older, stale: &[PathBuf]) -> Result<(), FileProblem> {
        let result = self.name_all(older, stale);
        result.map_err(|(path, source)| self.kept(path, source))
    }

    /// Keeps the files that are not renamed. Returns the error of `path`, which says where they are and which
    /// of them could not be kept.
    pub(crate) fn kept(self, path: PathBuf, source: io::Error) -> FileProblem {
        let (mut kept, mut lost) = (Vec::new(), Vec::new());
        for pending in self.sides.into_iter().chain([self.main]) {
            let target = pending.target().to_path_buf();
            match pending.keep() {
                Kept::At(place) => kept.push(place),
                Kept::Named => {}
                Kept::Lost => lost.push(target),
            }
        }
        FileProblem::Publish { path, kept, lost, source }
    }

    fn name_all(&mut self, older: Older, stale: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |error| (path, error)
        };
        let is_object = place::url_of(self.main.target()).is_some();
        if older == Older::Refused {
            for pending in self.sides.iter().chain([&self.main]) {
                absent(pending.target()).map_err(at(pending.target()))?;
            }
        } else if older == Older::Removed && !self.sides.is_empty() && !is_object {
            // An old main file must never be visible beside new tables. An object stays until it is replaced,
            // because its upload takes time and may fail.
            remove(self.main.target()).map_err(at(self.main.target()))?;
        }
        let is_new = older == Older::Refused;
        for pending in &mut self.sides {
            pending.publish_as(is_new).map_err(at(pending.target()))?;
        }
        for path in stale.iter().filter(|_| older != Older::Refused) {
            remove(path).map_err(at(path))?;
        }
        self.main.publish_as(is_new).map_err(at(self.main.target()))?;
        sync_directory(&directory_of(self.main.target()));
        Ok(())
    }
}

/// Returns an error if something exists under `path`, a dangling link included.
pub(crate) fn absent(path: &Path) -> io::Result<()> {
    if place::exists(path)? { Err(name_is_taken()) } else { Ok(()) }
}

/// Returns the error of a name that another file has.
pub(super) fn name_is_taken() -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, "a file of that name exists")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use virpack_seq::Hint;

    #[test]
    fn a_hint_names_the_file_that_could_not_be_kept() {
        let directory = tempfile::tempdir().unwrap();
        let [main, side] = ["emb.npy", "emb.npy.records.tsv"].map(|name| directory.path().join(name));
        let staged = || StagedFiles {
            main: PendingFile::whole(&main, b"rows").unwrap(),
            sides: vec![PendingFile::whole(&side, b"records").unwrap()],
        };
        let first = staged();
        // Another run's.
        fs::write(&main, "theirs").unwrap();
        let problem = first.publish(false, &[]).unwrap_err();
        assert!(
            problem.hint().unwrap().starts_with("nothing is lost, the whole result is kept in "),
            "{problem:?}"
        );
        let second = staged();
        let temporary = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let records = temporary.filter(|path| fs::read(path).unwrap() == b"records");
        records.for_each(|path| fs::remove_file(path).unwrap());
        let problem = second.publish(false, &[]).unwrap_err();
        let hint = problem.hint().unwrap().into_owned();
        assert!(
            hint.starts_with(&format!("run again: {} could not be kept; the rest is in ", side.display())),
            "{hint}"
        );
        assert_eq!(fs::read(&main).unwrap(), b"theirs");
    }
}
