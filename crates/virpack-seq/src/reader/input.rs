//! What a person names as an input.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::unchanged::FileState;
use crate::error::SeqError;

/// A file or standard input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Standard input, named `-`.
    Stdin,
    /// A file or a named pipe.
    Path(PathBuf),
}

impl Input {
    /// The path for messages: `<stdin>` for standard input.
    pub fn path(&self) -> &Path {
        match self {
            Input::Stdin => Path::new("<stdin>"),
            Input::Path(path) => path,
        }
    }

    /// Checks that the input can be read; its state if it is a regular file.
    pub(super) fn probe(&self) -> Result<Option<FileState>, SeqError> {
        let metadata = match self {
            Input::Stdin => match stdin_file() {
                Some(file) => file.metadata(),
                None => return Ok(None),
            },
            Input::Path(path) => path.metadata(),
        }
        .map_err(|source| self.cannot_open(source))?;
        if metadata.is_dir() {
            return Err(SeqError::Directory { path: self.path().into() });
        }
        let state = FileState::of(&metadata);
        // A pipe must not be opened twice (its writer would see it closed), a file may.
        if let (Some(_), Input::Path(path)) = (state, self) {
            File::open(path).map_err(|source| self.cannot_open(source))?;
        }
        Ok(state)
    }

    /// The error of an input that cannot be opened.
    pub(super) fn cannot_open(&self, source: std::io::Error) -> SeqError {
        SeqError::Open { path: self.path().into(), source }
    }
}

/// Standard input as a file, which tells a redirected file from a pipe.
#[cfg(unix)]
pub(super) fn stdin_file() -> Option<File> {
    use std::os::fd::AsFd;
    std::io::stdin().as_fd().try_clone_to_owned().ok().map(File::from)
}

/// Elsewhere standard input counts as a pipe.
#[cfg(not(unix))]
pub(super) fn stdin_file() -> Option<File> {
    None
}

/// Bytes of standard input that are looked at.
const LOOK: u64 = 64 << 10;

/// What was looked at of standard input, which the process has but one of, and whether more may follow.
static LOOKED_AT: Mutex<Option<(Vec<u8>, bool)>> = Mutex::new(None);

/// The first bytes of standard input, kept for [`stdin`], and whether more may follow.
pub(super) fn looked_at() -> io::Result<(Vec<u8>, bool)> {
    let mut kept = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.is_none() {
        let mut bytes = Vec::new();
        raw_stdin().take(LOOK).read_to_end(&mut bytes)?;
        let is_part = bytes.len() as u64 == LOOK;
        *kept = Some((bytes, is_part));
    }
    Ok(kept.clone().unwrap_or_default())
}

/// Standard input from its beginning.
pub(super) fn stdin() -> Box<dyn Read + Send> {
    let kept = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner).take();
    match kept {
        Some((bytes, _)) => Box::new(io::Cursor::new(bytes).chain(raw_stdin())),
        None => raw_stdin(),
    }
}

fn raw_stdin() -> Box<dyn Read + Send> {
    match stdin_file() {
        Some(file) => Box::new(file),
        None => Box::new(io::stdin()),
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

impl From<&str> for Input {
    fn from(name: &str) -> Self {
        if name == "-" { Input::Stdin } else { Input::Path(name.into()) }
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        if path == Path::new("-") { Input::Stdin } else { Input::Path(path) }
    }
}
