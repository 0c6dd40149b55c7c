//! Whether an input is still the file that it was when the run began.
//!
//! A file that is being copied, truncated or replaced while it is read gives records that no file
//! has, or none where there are some. Pipes and standard input are whatever comes out of them.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use super::stdin::stdin_file;
use crate::error::{Change, InputError, SeqError};
use crate::input::Input;

/// What tells two states of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) bytes: u64,
    pub(super) modified: Option<SystemTime>,
    /// Device and inode, where there are such.
    place: Option<(u64, u64)>,
}

impl FileState {
    /// None for what is not a file.
    pub(super) fn of(metadata: &Metadata) -> Option<FileState> {
        let (bytes, modified) = (metadata.len(), metadata.modified().ok());
        metadata.is_file().then(|| FileState { bytes, modified, place: place(metadata) })
    }

    /// Checks that an input can be read; its state if it is a regular file.
    pub(super) fn probe(input: &Input) -> Result<Option<FileState>, SeqError> {
        let metadata = match input {
            Input::Stdin => match stdin_file() {
                Some(file) => file.metadata(),
                None => return Ok(None),
            },
            Input::Path(path) => path.metadata(),
        }
        .map_err(|source| input.cannot_open(source))?;
        if metadata.is_dir() {
            return Err(InputError::Directory { path: input.path().into() }.into());
        }
        let state = FileState::of(&metadata);
        // A pipe must not be opened twice (its writer would see it closed), a file may.
        if let (Some(_), Input::Path(path)) = (state, input) {
            File::open(path).map_err(|source| input.cannot_open(source))?;
        }
        Ok(state)
    }

    /// The same file where it had `bytes` bytes and was last `modified` then.
    pub(super) fn as_of(self, bytes: u64, modified: Option<SystemTime>) -> FileState {
        FileState { bytes, modified, ..self }
    }

    pub(super) fn change_to(&self, now: &FileState) -> Option<Change> {
        if self.place != now.place {
            Some(Change::Replaced { from: self.bytes, to: now.bytes })
        } else if self.bytes != now.bytes {
            Some(Change::Size { from: self.bytes, to: now.bytes })
        } else if self.modified != now.modified {
            Some(Change::Written { bytes: self.bytes })
        } else {
            None
        }
    }
}

#[cfg(unix)]
fn place(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn place(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// All inputs as they were when the run began.
#[derive(Debug, Default)]
pub(super) struct InputStates(Vec<InputState>);

#[derive(Debug)]
struct InputState {
    input: Input,
    /// None for what is not a file.
    begun: Option<FileState>,
    /// Whether it was read to its end, and had not changed then.
    is_read: AtomicBool,
}

impl InputStates {
    pub(super) fn add(&mut self, input: &Input, begun: Option<FileState>) {
        // A redirected file is exempt: it has no path to look at.
        let begun = begun.filter(|_| *input != Input::Stdin);
        self.0.push(InputState { input: input.clone(), begun, is_read: AtomicBool::new(false) });
    }

    /// An input that is a file, as it was.
    pub(super) fn begun(&self, source: u32) -> Option<FileState> {
        self.0.get(source as usize)?.begun
    }

    /// What has happened to an input that is not read to its end yet.
    pub(super) fn change(&self, source: u32) -> Option<Change> {
        self.0.get(source as usize).filter(|state| !state.is_read.load(Relaxed))?.change()
    }

    /// Notes that an input was read to its end, and had not changed then.
    fn is_read(&self, source: u32) {
        self.0.get(source as usize).iter().for_each(|state| state.is_read.store(true, Relaxed));
    }

    /// Checks all inputs, or those that are not read to their end yet.
    pub(super) fn check(&self, also_read: bool) -> Result<(), SeqError> {
        let changed = |state: &InputState| {
            let change = if also_read || !state.is_read.load(Relaxed) { state.change() } else { None };
            change.map(|change| InputError::Changed { path: state.input.path().into(), change }.into())
        };
        self.0.iter().find_map(changed).map_or(Ok(()), Err)
    }
}

impl InputState {
    fn change(&self) -> Option<Change> {
        change_at(self.input.path(), &self.begun?)
    }
}

/// What has happened to the file at a path; what cannot be looked at has not changed.
fn change_at(path: &Path, begun: &FileState) -> Option<Change> {
    match path.metadata() {
        Ok(metadata) => match FileState::of(&metadata) {
            Some(now) => begun.change_to(&now),
            None => Some(Change::Replaced { from: begun.bytes, to: metadata.len() }),
        },
        Err(error) => (error.kind() == ErrorKind::NotFound).then_some(Change::Gone),
    }
}

/// A file that is being read.
pub(super) struct WatchedFile {
    file: Arc<File>,
    begun: FileState,
    input: Input,
    /// Bytes that are to be read of it.
    expected: u64,
}

impl WatchedFile {
    pub(super) fn new(file: Arc<File>, begun: FileState, input: Input) -> Self {
        WatchedFile { file, begun, input, expected: begun.bytes }
    }

    /// As it is, where so many bytes of it are to be read.
    pub(super) fn expecting(self, bytes: u64) -> Self {
        WatchedFile { expected: bytes, ..self }
    }

    /// What has happened to the open file, and to its name.
    pub(super) fn change(&self) -> Option<Change> {
        let open = self.file.metadata().ok().and_then(|metadata| FileState::of(&metadata));
        let written = open.and_then(|now| self.begun.change_to(&now));
        written.or_else(|| change_at(self.input.path(), &self.begun))
    }

    /// As [`WatchedFile::change`], now that so many bytes were `read` to the end; notes it where
    /// there is none.
    pub(super) fn change_at_end(&self, read: u64, source: u32, states: &InputStates) -> Option<Change> {
        let bytes = self.expected;
        // Files without a size are made up by the system as they are read.
        let is_short = bytes > 0 && read != bytes;
        let change = self.change().or(is_short.then_some(Change::Read { read, bytes }));
        if change.is_none() {
            states.is_read(source);
        }
        change
    }
}
