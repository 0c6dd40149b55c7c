//! What can go wrong with a file that is written.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use virpack_seq::{Hint, shown_path};
use virpack_store::StoreError;

use super::{directory_of, place};

/// What can go wrong between what is to be written and its file, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileProblem {
    /// What should be a directory of outputs is a file.
    #[error("{} is not a directory", shown_path(path))]
    NotADirectory {
        /// The output as it was named.
        path: PathBuf,
    },
    /// The URL of an object where virpack writes none.
    #[error("{} is a URL{why}", shown_path(path))]
    Object {
        /// The output, without what may be secret in it.
        path: PathBuf,
        /// Why virpack does not write there.
        why: Unwritten,
    },
    /// There is no room for an object until it is uploaded.
    #[error("cannot keep {} in {} until it is uploaded: {source}", shown_path(target), shown_path(directory))]
    Staging {
        /// The object.
        target: PathBuf,
        /// Where temporary files go.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The output's directory does not exist, or cannot be written to.
    #[error("cannot write into {}: {source}", shown_path(directory))]
    Directory {
        /// The directory of the output.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name that the file system does not take, of the output or of a file that is made beside it.
    #[error("{}: the output cannot have this name: {source}", shown_path(path))]
    Name {
        /// The output as it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing failed part of the way; nothing stands under the asked name.
    #[error("cannot write {}: {source}", shown_path(path))]
    Write {
        /// The file as it would have been named in the end.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What waits for standard output could not be kept.
    #[error("cannot keep rows in {} until they can go to standard output: {source}", shown_path(directory))]
    Scratch {
        /// Where temporary files go.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A complete output file could not be renamed into place.
    #[error("cannot put {} in its place: {source}", shown_path(path))]
    Publish {
        /// The file as it should have been named.
        path: PathBuf,
        /// Where the result stands instead: every file that has not got its name, and could be kept.
        kept: Vec<PathBuf>,
        /// The names of the files that have not got them, and could not be kept.
        lost: Vec<PathBuf>,
        /// What the system said.
        source: io::Error,
    },
}

/// Why virpack does not write to a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// It is not in a store.
    Web,
    /// It holds a key, which would be shown and written down.
    Key,
    /// The output consists of files that are renamed or appended to.
    Disk,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unwritten::Web => " that cannot be written to",
            Unwritten::Key => " that holds a key",
            Unwritten::Disk => ", and this output is written on a disk",
        })
    }
}

impl FileProblem {
    /// Refuses the URL of an object, which would become a directory of that name.
    pub(crate) fn refuse_url(path: &Path) -> Result<(), FileProblem> {
        match place::url_of(path) {
            Some(url) => {
                let why = if url.is_of_store() { Unwritten::Disk } else { Unwritten::Web };
                Err(FileProblem::Object { path: url.shown().into(), why })
            }
            None => Ok(()),
        }
    }

    /// Wraps what the system said of a file that was to be made.
    pub(crate) fn make(path: &Path, source: io::Error) -> FileProblem {
        match source.kind() {
            ErrorKind::InvalidFilename => FileProblem::Name { path: path.to_path_buf(), source },
            _ => FileProblem::Directory { directory: directory_of(path), source },
        }
    }

    /// Wraps what the system said while `path` was being written.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> FileProblem + use<> {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            // What a store gets waits on this disk, which is the one that is full.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded if place::url_of(&path).is_some() => {
                FileProblem::Staging { target: path.clone(), directory: std::env::temp_dir(), source }
            }
            _ => FileProblem::Write { path: path.clone(), source },
        }
    }
}

impl Hint for FileProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            FileProblem::NotADirectory { .. } => "name a directory, one that exists or one to be made".into(),
            FileProblem::Object { why: Unwritten::Key, .. } => {
                "leave it out: the environment holds the credentials of s3://, gs:// and az://".into()
            }
            FileProblem::Object { why: Unwritten::Web, .. } => {
                "name a file or a directory; a plan and its parts also go to s3://BUCKET/DIR, gs:// or az://"
                    .into()
            }
            FileProblem::Object { why: Unwritten::Disk, .. } => {
                "write to a disk and copy it there; or make a plan there and keep the parts".into()
            }
            FileProblem::Staging { .. } => "set TMPDIR to a directory with room for it".into(),
            FileProblem::Directory { source, .. } | FileProblem::Write { source, .. } => {
                return remedy_of_store(source).or_else(|| Some(remedy(source).into()));
            }
            FileProblem::Name { .. } => {
                "shorten it: temporary files and tables beside it have longer names; 200 letters fit nearly everywhere"
                    .into()
            }
            FileProblem::Scratch { .. } => {
                "set TMPDIR to a directory with room for all of them, or write to a file".into()
            }
            FileProblem::Publish { kept, lost, .. } => place_of(kept, lost).into(),
        })
    }
}

/// Where a result is that has not got its name, as far as it could be kept.
fn place_of(kept: &[PathBuf], lost: &[PathBuf]) -> String {
    let listed = |paths: &[PathBuf]| paths.iter().map(|path| shown_path(path)).collect::<Vec<_>>().join(", ");
    if kept.is_empty() && lost.iter().any(|path| place::url_of(path).is_some()) {
        return format!("run again: {} could not be kept in the directory of temporary files", listed(lost));
    }
    if kept.is_empty() {
        return "nothing of the result is left in its directory, which may have been removed: run again"
            .to_owned();
    }
    match lost {
        [] => format!("nothing is lost, the whole result is kept in {}", listed(kept)),
        _ => format!("run again: {} could not be kept; the rest is in {}", listed(lost), listed(kept)),
    }
}

/// What to do about the URL of an output with an empty part.
pub(crate) const KEY_HINT: &str =
    "name it without a slash at the end and with single slashes: s3://BUCKET/DIR/FILE";

/// What a person can do about a failed write to a store; None on a disk.
fn remedy_of_store(error: &io::Error) -> Option<Cow<'_, str>> {
    let error = StoreError::of_io(error)?;
    let hint = error.hint()?;
    Some(match error {
        StoreError::Refused { .. } => {
            format!("the credentials may not write there, or are wrong: {hint}").into()
        }
        StoreError::Key => KEY_HINT.into(),
        _ => hint,
    })
}

/// What a person can do about a failed write.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "make the directory first, or check the path",
        ErrorKind::NotADirectory => "a part of the path is a file, not a directory",
        ErrorKind::AlreadyExists => "something else of that name is in the way: move it",
        ErrorKind::PermissionDenied => "check the permissions of the directory",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: choose another directory",
        ErrorKind::StorageFull => "the disk is full: free some space or choose another directory",
        ErrorKind::QuotaExceeded => "the quota is used up: free some space or choose another directory",
        ErrorKind::FileTooLarge => "the file system, or ulimit -f, allows no larger file",
        ErrorKind::InvalidFilename => "the file's name is too long or holds a forbidden character",
        _ => "nothing was left under the asked name; mend the cause and run again",
    }
}
