//! Publishes the files of one run together, the main file last.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

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
        result.map_err(|(path, source)| FileProblem::Publish { path, kept: self.keep(), source })
    }

    /// Keeps the files that are not renamed, and returns where they are.
    pub(crate) fn keep(self) -> Vec<PathBuf> {
        self.sides.into_iter().chain([self.main]).filter_map(PendingFile::keep).collect()
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
        for pending in &mut self.sides {
            pending.publish().map_err(at(pending.target()))?;
        }
        for path in stale.iter().filter(|_| older != Older::Refused) {
            remove(path).map_err(at(path))?;
        }
        self.main.publish().map_err(at(self.main.target()))?;
        sync_directory(&directory_of(self.main.target()));
        Ok(())
    }
}

/// Returns an error if something exists under `path`, a dangling link included.
pub(crate) fn absent(path: &Path) -> io::Result<()> {
    match place::exists(path)? {
        true => Err(io::Error::new(ErrorKind::AlreadyExists, "a file of that name exists")),
        false => Ok(()),
    }
}
