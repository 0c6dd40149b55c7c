//! Whether an input is still the file that it was when the run began.
//!
//! A file that is being copied, truncated or replaced while it is read gives records that no file
//! has, or none where there are some. Pipes and standard input are whatever comes out of them. An object
//! is identified by its tag in place of device and inode.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use virpack_store::{Object, ObjectState, StoreError};

use super::stdin::stdin_file;
use crate::error::{Change, InputError, SeqError};
use crate::input::Input;

/// The state of a file, to notice changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) bytes: u64,
    pub(super) modified: Option<SystemTime>,
    /// Device and inode, or the tag of an object, where there are such.
    place: Option<(u64, u64)>,
}

impl FileState {
    /// None for what is not a file.
    pub(super) fn of(metadata: &Metadata) -> Option<FileState> {
        let (bytes, modified) = (metadata.len(), metadata.modified().ok());
        metadata.is_file().then(|| FileState { bytes, modified, place: place(metadata) })
    }

    /// That of an object.
    pub(super) fn of_object(object: &ObjectState) -> FileState {
        let place = object.etag.as_ref().map(|etag| {
            let sum = Sha256::digest(etag);
            let half =
                |from: usize| sum[from..].iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            (half(0), half(8))
        });
        FileState { bytes: object.bytes, modified: object.modified, place }
    }

    /// Checks that an input can be read; its state if it is a regular file or an object.
    pub(super) fn probe(input: &Input) -> Result<Option<FileState>, SeqError> {
        let metadata = match input {
            Input::Stdin => match stdin_file() {
                Some(file) => file.metadata(),
                None => return Ok(None),
            },
            Input::Path(path) => path.metadata(),
            Input::Object(url) => {
                let object = Object::open(url).map_err(|error| input.cannot_open(error.into_io()))?;
                return Ok(Some(FileState::of_object(object.state())));
            }
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

    /// Returns the same file where it had `bytes` bytes and was last `modified` then.
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

    /// Returns an input that is a file, as it was.
    pub(super) fn begun(&self, source: u32) -> Option<FileState> {
        self.0.get(source as usize)?.begun
    }

    /// Returns what has happened to an input that is not read to its end yet.
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
        let begun = self.begun?;
        match &self.input {
            Input::Object(url) => {
                of_object_at(Object::open(url).map(|object| object.state().clone()), &begun)
            }
            input => change_at(input.path(), &begun),
        }
    }
}

/// Returns what has happened to the file at a path; what cannot be looked at has not changed.
fn change_at(path: &Path, begun: &FileState) -> Option<Change> {
    match path.metadata() {
        Ok(metadata) => match FileState::of(&metadata) {
            Some(now) => begun.change_to(&now),
            None => Some(Change::Replaced { from: begun.bytes, to: metadata.len() }),
        },
        Err(error) => (error.kind() == ErrorKind::NotFound).then_some(Change::Gone),
    }
}

/// Returns what has happened to an object that was looked at again; one that cannot be looked at has not
/// changed.
fn of_object_at(now: Result<ObjectState, StoreError>, begun: &FileState) -> Option<Change> {
    match now {
        Ok(now) => begun.change_to(&FileState::of_object(&now)),
        Err(error) => matches!(error, StoreError::NoObject).then_some(Change::Gone),
    }
}

/// What is open of a file or an object.
pub(super) enum Open {
    File(Arc<File>),
    Object(Object),
}

/// A file that is being read.
pub(super) struct WatchedFile {
    open: Open,
    begun: FileState,
    input: Input,
    /// Bytes that are to be read of it.
    expected: u64,
}

impl WatchedFile {
    pub(super) fn new(open: Open, begun: FileState, input: Input) -> Self {
        WatchedFile { open, begun, input, expected: begun.bytes }
    }

    /// Returns the present state, if that many bytes are to be read.
    pub(super) fn expecting(self, bytes: u64) -> Self {
        WatchedFile { expected: bytes, ..self }
    }

    /// Returns what has happened to the open file, and to its name.
    pub(super) fn change(&self) -> Option<Change> {
        match &self.open {
            Open::File(file) => {
                let open = file.metadata().ok().and_then(|metadata| FileState::of(&metadata));
                let written = open.and_then(|now| self.begun.change_to(&now));
                written.or_else(|| change_at(self.input.path(), &self.begun))
            }
            Open::Object(object) => of_object_at(object.state_now(), &self.begun),
        }
    }

    /// As [`WatchedFile::change`], now that `read` bytes were read to the end; notes it where
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
