//! Files in folders that others can write to: opened without following links and without waiting.
//!
//! A link under one of our names would have virpack read or overwrite what it points to, and a pipe would have it wait for
//! ever. Models are an exception for links alone: the Hub's cache consists of them.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use virpack_seq::read_at_most;

/// What a lock may hold: the number of a process.
const LONGEST_LOCK: u64 = 32;

/// Opens a regular file for reading; a link is refused.
pub fn open(path: &Path) -> io::Result<File> {
    regular(options(false).read(true).open(path), path)
}

/// Opens a regular file for reading, or one that a link points to.
pub fn open_linked(path: &Path) -> io::Result<File> {
    regular(options(true).read(true).open(path), path)
}

/// Returns all bytes of a regular file of at most `most`; a link is refused.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_at_most(open(path)?, most)
}

/// Returns all bytes of a regular file of at most `most`, or of one that a link points to.
pub fn read_linked(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_at_most(open_linked(path)?, most)
}

/// Opens a file that virpack writes in place, and makes it where it is missing: a regular file with this one name.
pub fn open_in_place(path: &Path, options_of: impl Fn(&mut OpenOptions)) -> io::Result<File> {
    let mut options = options(false);
    options_of(options.create(true));
    one_name(regular(options.open(path), path)?)
}

/// Refuses a file that has other names: what is written into it changes them all.
pub fn one_name(file: File) -> io::Result<File> {
    match names_of(&file.metadata()?) {
        0 | 1 => Ok(file),
        n => Err(refused(&format!("it is one of {n} names of a file (hard links)"))),
    }
}

/// Returns the number of the process that wrote a lock; None if the lock holds anything else.
pub fn process_in(lock: &mut File) -> io::Result<Option<u32>> {
    let mut text = Vec::new();
    lock.take(LONGEST_LOCK).read_to_end(&mut text)?;
    Ok(std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()))
}

/// Returns whether an entry of a folder is a regular file; a link is not one.
pub fn is_regular(entry: &fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_file())
}

fn regular(opened: io::Result<File>, path: &Path) -> io::Result<File> {
    let is_link = || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let file = match opened {
        // The system's own words are "too many levels of symbolic links".
        Err(_) if is_link() => return Err(refused("it is a symbolic link")),
        opened => opened?,
    };
    expect_regular(&file.metadata()?)?;
    Ok(file)
}

fn expect_regular(metadata: &Metadata) -> io::Result<()> {
    match metadata {
        metadata if metadata.is_file() => Ok(()),
        metadata if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ => Err(refused("it is a pipe or a device, not a regular file")),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, why)
}

/// Options that do not wait for the other end of a pipe.
#[cfg(unix)]
fn options(follows_links: bool) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.custom_flags(libc::O_NONBLOCK | if follows_links { 0 } else { libc::O_NOFOLLOW });
    options
}

#[cfg(not(unix))]
fn options(_follows_links: bool) -> OpenOptions {
    File::options()
}

#[cfg(unix)]
fn names_of(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn names_of(_: &Metadata) -> u64 {
    1
}

/// Returns a file's owner; None where the system has no such number.
#[cfg(unix)]
pub fn owner(metadata: &Metadata) -> Option<u32> {
    Some(std::os::unix::fs::MetadataExt::uid(metadata))
}

#[cfg(not(unix))]
pub fn owner(_: &Metadata) -> Option<u32> {
    None
}

/// Device and inode.
#[cfg(unix)]
type Numbers = (u64, u64);
/// A path without links.
#[cfg(not(unix))]
type Numbers = std::path::PathBuf;

/// The identity of a file, whatever its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity(Numbers);

impl FileIdentity {
    /// Returns that of the file under a name, links followed; None if it does not exist.
    #[cfg(unix)]
    pub fn of(path: &Path) -> Option<FileIdentity> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).ok().map(|metadata| FileIdentity((metadata.dev(), metadata.ino())))
    }

    /// Returns that of the file under a name, links followed; None if it does not exist.
    #[cfg(not(unix))]
    pub fn of(path: &Path) -> Option<FileIdentity> {
        path.canonicalize().ok().map(FileIdentity)
    }
}

/// Why a folder of parts is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It is a symbolic link.
    Link,
    /// It belongs to another user.
    Owner {
        /// The owner.
        is: u32,
        /// Who runs virpack.
        expected: u32,
    },
}

/// Looks whether a folder is a link or another user's; None where it is neither, or not there. `ours` is a file that this
/// process has made: some file systems give all files one owner.
pub fn foreign(folder: &Path, ours: impl FnOnce() -> Option<Metadata>) -> Option<Foreign> {
    let metadata = fs::symlink_metadata(folder).ok()?;
    if metadata.is_symlink() {
        return Some(Foreign::Link);
    }
    let (is, expected) = (owner(&metadata)?, owner(&ours()?)?);
    (is != expected).then_some(Foreign::Owner { is, expected })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn links_and_pipes_are_refused_and_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let [file, link, pipe, hard] = ["file", "link", "pipe", "hard"].map(|name| place.path().join(name));
        fs::write(&file, "text").unwrap();
        symlink(&file, &link).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read(&file, 4).unwrap(), b"text");
        assert_eq!(read(&link, 9).unwrap_err().to_string(), "it is a symbolic link");
        assert_eq!(read_linked(&link, 4).unwrap(), b"text");
        assert_eq!(read(&file, 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        for error in [open(&pipe).unwrap_err(), open_linked(&pipe).unwrap_err()] {
            assert!(error.to_string().contains("a pipe or a device"), "{error}");
        }
        assert_eq!(open(place.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
        let write = |options: &mut OpenOptions| _ = options.write(true);
        assert!(open_in_place(&file, write).is_ok() && open_in_place(&link, write).is_err());
        fs::hard_link(&file, &hard).unwrap();
        let error = open_in_place(&hard, write).unwrap_err();
        assert!(error.to_string().contains("one of 2 names"), "{error}");
        assert_eq!(FileIdentity::of(&hard), FileIdentity::of(&link));
        assert_ne!(FileIdentity::of(&hard), FileIdentity::of(&pipe));
    }

    #[test]
    fn a_lock_holds_a_number_or_nothing() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let found = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            process_in(&mut File::open(&path).unwrap()).unwrap()
        };
        assert_eq!(found(b"123"), Some(123));
        for odd in [&b""[..], b"\xff\xfe12", b"-1", b"12 ", &[b'1'; 100]] {
            assert_eq!(found(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_folder_of_another_user_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let [own, link] = ["own", "link"].map(|name| place.path().join(name));
        fs::create_dir(&own).unwrap();
        symlink(&own, &link).unwrap();
        let ours = || fs::metadata(&own).ok();
        assert_eq!(foreign(&own, ours), None);
        assert_eq!(foreign(&place.path().join("none"), ours), None);
        assert_eq!(foreign(&link, ours), Some(Foreign::Link));
        let is_root = owner(&fs::metadata(&own).unwrap()) == Some(0);
        let ours = fs::metadata(place.path()).unwrap();
        let (theirs, is) = if is_root { (own.as_path(), 65_534) } else { (Path::new("/"), 0) };
        if is_root {
            std::os::unix::fs::chown(&own, Some(65_534), None).unwrap();
        }
        assert!(
            matches!(foreign(theirs, || Some(ours)), Some(Foreign::Owner { is: found, .. }) if found == is)
        );
    }
}
