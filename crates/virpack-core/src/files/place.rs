//! Files by their place, which is on a disk or in a store: a path that begins as the URL of a store names an
//! object there.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use virpack_model::guarded;
use virpack_seq::{ObjectUrl, read_at_most};
use virpack_store::{Object, StoreError, WrittenObject, names_below};

use super::FileProblem;
use super::error::Unwritten;

/// Returns the URL that a path is; None for the path of a file.
pub(crate) fn url_of(path: &Path) -> Option<ObjectUrl> {
    let text = path.to_str()?;
    // On Windows a path gets backslashes where names are joined.
    if cfg!(windows) { ObjectUrl::parse(&text.replace('\\', "/")) } else { ObjectUrl::parse(text) }
}

/// Returns the URL of an object that can be written; None for the path of a file. A URL is refused that is
/// not of a store, or that holds a key, which messages would show.
pub(crate) fn store_of(path: &Path) -> Result<Option<ObjectUrl>, FileProblem> {
    let Some(url) = url_of(path) else { return Ok(None) };
    let why = match (url.is_of_store(), url.has_secret()) {
        (true, false) => return Ok(Some(url)),
        (true, true) => Unwritten::Key,
        (false, _) => Unwritten::Web,
    };
    Err(FileProblem::Object { path: url.shown().into(), why })
}

/// Returns the place of a file in a directory.
pub(crate) fn join(directory: &Path, name: &str) -> PathBuf {
    url_of(directory).map_or_else(|| directory.join(name), |url| url.join(name).shown().into())
}

/// Returns all bytes of a file of at most `most`.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if url_of(path).is_none() {
        return guarded::read_linked(path, most);
    }
    read_at_most(open(path)?.1, most)
}

/// Opens a file to read it once, and returns its size in bytes with it.
pub(crate) fn open(path: &Path) -> io::Result<(u64, Box<dyn Read>)> {
    let Some(url) = url_of(path) else {
        let file = guarded::open_linked(path)?;
        return Ok((file.metadata()?.len(), Box::new(file)));
    };
    let object = Object::open(&url).map_err(StoreError::into_io)?;
    let bytes = object.state().bytes;
    Ok((bytes, Box::new(object.reader(0..bytes)?)))
}

/// Opens a file to read any place of it. An object is copied to a file without a name.
pub(crate) fn fetch(path: &Path) -> io::Result<File> {
    if url_of(path).is_none() {
        return guarded::open_linked(path);
    }
    let (bytes, mut from) = open(path)?;
    let mut file = tempfile::tempfile()?;
    if io::copy(&mut from, &mut file)? != bytes {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    file.rewind()?;
    Ok(file)
}

/// Returns the names of the files in a directory. A folder of a store exists as long as an object is in it.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    if let Some(url) = url_of(directory) {
        return names_below(&url).map_err(StoreError::into_io);
    }
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
    fs::read_dir(directory)?.filter_map(|entry| name(entry).transpose()).collect()
}

/// Returns whether something has this name, a dangling link included.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    let found = match url_of(path) {
        Some(url) => Object::open(&url).map(drop).map_err(|error| match error {
            StoreError::NoObject => ErrorKind::NotFound.into(),
            other => io::Error::other(other),
        }),
        None => fs::symlink_metadata(path).map(drop),
    };
    match found {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a file, if it exists.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if let Some(url) = url_of(path) {
        return to_write(&url)?.remove().map_err(StoreError::into_io);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Checks that a store accepts an object of this name. A disk is asked by the file itself.
pub(crate) fn check(path: &Path) -> Result<(), FileProblem> {
    let Some(url) = store_of(path)? else { return Ok(()) };
    let checked = to_write(&url).and_then(|object| object.check().map_err(StoreError::into_io));
    checked.map_err(FileProblem::write(path))
}

/// Opens the store of an object.
pub(super) fn to_write(url: &ObjectUrl) -> io::Result<WrittenObject> {
    WrittenObject::new(url).map_err(StoreError::into_io)
}

/// An object before it has its name: its bytes are here.
#[derive(Debug)]
pub(super) enum Waiting {
    /// In a file without a name, which is gone with the process.
    File(File),
    /// In memory.
    Bytes(Vec<u8>),
}

impl Waiting {
    /// Opens the file in which an object waits, and returns a handle to fill it.
    pub(super) fn file(target: &Path) -> Result<(Waiting, File), FileProblem> {
        let failed = |source| FileProblem::Staging {
            target: target.to_path_buf(),
            directory: std::env::temp_dir(),
            source,
        };
        let file = tempfile::tempfile().map_err(failed)?;
        Ok((Waiting::File(file.try_clone().map_err(failed)?), file))
    }

    /// Returns a handle to read it from its beginning.
    pub(super) fn open(&self) -> io::Result<File> {
        let mut file = match self {
            Waiting::File(file) => file.try_clone()?,
            Waiting::Bytes(bytes) => {
                let mut file = tempfile::tempfile()?;
                file.write_all(bytes)?;
                file
            }
        };
        file.rewind()?;
        Ok(file)
    }

    /// Gives it its name in the store.
    pub(super) fn publish(&mut self, url: &ObjectUrl) -> io::Result<()> {
        let object = to_write(url)?;
        match self {
            Waiting::File(file) => object.upload(file),
            Waiting::Bytes(bytes) => object.put(bytes.clone()).map_err(StoreError::into_io),
        }
    }

    /// Gives it its name in the store unless an object has it, and returns whether it was given.
    pub(super) fn publish_new(&mut self, url: &ObjectUrl) -> io::Result<bool> {
        let object = to_write(url)?;
        match self {
            Waiting::File(file) => object.upload_new(file),
            Waiting::Bytes(bytes) => object.put_new(bytes.clone()).map_err(StoreError::into_io),
        }
    }

    /// Copies it to a file with a name, because it could not be uploaded; returns its path.
    pub(super) fn keep(&self, target: &Path) -> io::Result<PathBuf> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let first = std::env::temp_dir().join(format!("{name}.kept-{}", std::process::id()));
        let (mut path, mut attempt) = (first.clone(), 0);
        let mut to = loop {
            match File::options().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 1000 => {
                    attempt += 1;
                    path = PathBuf::from(format!("{}-{attempt}", first.display()));
                }
                opened => break opened?,
            }
        };
        let copied = self.open().and_then(|mut from| io::copy(&mut from, &mut to));
        copied.inspect_err(|_| drop(fs::remove_file(&path)))?;
        Ok(path)
    }
}
