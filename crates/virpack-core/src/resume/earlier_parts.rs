//! The finished work of an earlier run: which numbers it has, and their results when their turn comes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest;
use virpack_seq::IndexSet;
use virpack_seq::reader::hex;

use super::RunId;
use super::manifest::Part;
use super::part_entry::EntryHead;
use crate::files::HashingReader;
use crate::output::{EarlierRows, Entry, OutputError, OutputProblem};
use virpack_model::guarded;

const BUFFER: usize = 1 << 20;
/// The most records or chunks of a run. The set of finished ones takes a bit for each, 1 GB for all of these.
const MOST_NUMBERS: u64 = 1 << 33;

/// Entries of complete parts.
///
/// Memory holds a bit for each number, and the offsets of the entries of those parts that are being read: as
/// many as the run that wrote them had in progress.
pub(crate) struct EarlierParts {
    done: Arc<IndexSet>,
    /// In the order of their smallest number.
    parts: Vec<CheckedPart>,
    /// The first part that was not opened yet.
    next: usize,
    places: HashMap<u64, EntryOffset>,
    open: HashMap<usize, PartReader>,
}

/// A part whose checksum is right.
struct CheckedPart {
    path: PathBuf,
    first: u64,
}

struct EntryOffset {
    part: usize,
    offset: u64,
}

struct PartReader {
    file: BufReader<File>,
    /// Entries that were not taken yet.
    left: u64,
}

impl EarlierParts {
    /// Reads `parts` and keeps the intact ones. For each other one, returns what is wrong with it.
    pub(super) fn open(
        folder: &Path,
        run: RunId,
        parts: &mut Vec<Part>,
    ) -> (EarlierParts, Vec<(Part, String)>) {
        let (mut done, mut whole, mut torn) = (IndexSet::default(), Vec::new(), Vec::new());
        parts.retain(|part| {
            let path = Part::path(folder, part.number);
            match check(&path, run, part).and_then(expect_possible) {
                Ok(numbers) => {
                    let first = numbers.iter().min().copied();
                    numbers.into_iter().for_each(|number| _ = done.insert(number));
                    whole.extend(first.map(|first| CheckedPart { path, first }));
                    true
                }
                Err(reason) => {
                    torn.push((part.clone(), reason));
                    false
                }
            }
        });
        whole.sort_by_key(|part| part.first);
        let (places, open) = (HashMap::new(), HashMap::new());
        (EarlierParts { done: Arc::new(done), parts: whole, next: 0, places, open }, torn)
    }

    /// Returns the numbers that it has.
    pub(crate) fn done(&self) -> &Arc<IndexSet> {
        &self.done
    }

    /// Passes the bytes of an existing number to `read`. Each number can be taken once, in rising order.
    pub(crate) fn take<T>(
        &mut self,
        number: u64,
        read: impl FnOnce(&[u8]) -> io::Result<T>,
    ) -> Result<T, OutputError> {
        while let Some(part) = self.parts.get(self.next).filter(|part| part.first <= number) {
            let failed = read_error(&part.path);
            self.index(self.next).map_err(failed)?;
            self.next += 1;
        }
        let place = self.places.remove(&number).expect("every number that is done has its place");
        let failed = read_error(&self.parts[place.part].path);
        self.bytes(&place).and_then(|bytes| read(&bytes)).map_err(failed)
    }

    /// Records the offsets of a part's entries.
    fn index(&mut self, part: usize) -> io::Result<()> {
        let mut file = BufReader::with_capacity(BUFFER, guarded::open(&self.parts[part].path)?);
        let mut offset = RunId::HEAD;
        file.seek_relative(offset.cast_signed())?;
        let mut left = 0;
        while let Some(head) = EntryHead::read(&mut file)? {
            self.places.insert(head.number, EntryOffset { part, offset });
            file.seek_relative(head.bytes.cast_signed())?;
            offset += EntryHead::BYTES as u64 + head.bytes;
            left += 1;
        }
        self.open.insert(part, PartReader { file, left });
        Ok(())
    }

    fn bytes(&mut self, place: &EntryOffset) -> io::Result<Vec<u8>> {
        let open = self.open.get_mut(&place.part).ok_or(ErrorKind::NotFound)?;
        // Entries are mostly consecutive: what is read ahead is kept.
        let ahead = place.offset.cast_signed() - open.file.stream_position()?.cast_signed();
        open.file.seek_relative(ahead)?;
        let head = EntryHead::read(&mut open.file)?.ok_or(ErrorKind::UnexpectedEof)?;
        let mut bytes = Vec::new();
        if (&mut open.file).take(head.bytes).read_to_end(&mut bytes)? as u64 != head.bytes {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        open.left -= 1;
        if open.left == 0 {
            self.open.remove(&place.part);
        }
        Ok(bytes)
    }
}

impl EarlierRows for EarlierParts {
    fn has(&self, record: u64) -> bool {
        self.done.contains(record)
    }

    fn take(&mut self, record: u64, hidden: usize) -> Result<Entry, OutputError> {
        EarlierParts::take(self, record, |bytes| Entry::of(bytes, hidden))
    }
}

/// Reads all of a part, each number with its bytes. Returns what is wrong with a damaged part.
pub(super) fn read_all(folder: &Path, run: RunId, part: &Part) -> Result<Vec<(u64, Vec<u8>)>, String> {
    let path = Part::path(folder, part.number);
    check(&path, run, part)?;
    let read = || -> io::Result<_> {
        let mut file = BufReader::with_capacity(BUFFER, guarded::open(&path)?);
        file.seek_relative(RunId::HEAD.cast_signed())?;
        let mut all = Vec::new();
        while let Some(EntryHead { number, bytes }) = EntryHead::read(&mut file)? {
            let mut own = vec![0; bytes as usize];
            file.read_exact(&mut own)?;
            all.push((number, own));
        }
        Ok(all)
    };
    read().map_err(|error| error.to_string())
}

fn read_error(path: &Path) -> impl Fn(io::Error) -> OutputError + use<> {
    let path = path.to_path_buf();
    move |source| OutputProblem::Part { path: path.clone(), source }.into()
}

/// Returns the numbers in a part, or what is wrong with it.
fn check(path: &Path, run: RunId, part: &Part) -> Result<Vec<u64>, String> {
    let file = guarded::open(path).map_err(|error| error.to_string())?;
    let bytes = file.metadata().map_err(|error| error.to_string())?.len();
    if bytes != part.bytes {
        return Err(format!("it has {bytes} bytes and was written with {}", part.bytes));
    }
    let mut file = BufReader::with_capacity(BUFFER, HashingReader::new(file));
    let numbers = numbers(&mut file, run);
    let HashingReader { from: mut file, sum } = file.into_inner();
    // If the entries end too early, the checksum is wrong as well.
    let is_read = file.stream_position().is_ok_and(|position| position == bytes);
    let is_right = is_read && hex(&sum.finalize()) == part.sha256;
    match numbers {
        Ok(numbers) if is_right => Ok(numbers),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(error.to_string()),
        _ => Err("its checksum is not the one it was written with".to_owned()),
    }
}

fn numbers(file: &mut impl Read, run: RunId) -> io::Result<Vec<u64>> {
    run.expect_head(file)?;
    let mut numbers = Vec::new();
    while let Some(head) = EntryHead::read(file)? {
        numbers.push(head.number);
        if io::copy(&mut file.take(head.bytes), &mut io::sink())? != head.bytes {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(numbers)
}

/// Refuses numbers that no record and no chunk can have.
fn expect_possible(numbers: Vec<u64>) -> Result<Vec<u64>, String> {
    match numbers.iter().find(|number| **number >= MOST_NUMBERS) {
        Some(number) => {
            Err(format!("it has an entry with the number {number}; the largest is {}", MOST_NUMBERS - 1))
        }
        None => Ok(numbers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a part of that run with one entry, as parts are written.
    fn part(folder: &Path, run: RunId, entry: u64) -> Part {
        let head = EntryHead { number: entry, bytes: 2 };
        let bytes = [&run.head()[..], &head.encode(), b"ab"].concat();
        std::fs::write(Part::path(folder, 1), &bytes).unwrap();
        Part { number: 1, entries: 1, bytes: bytes.len() as u64, sha256: hex(&sha2::Sha256::digest(&bytes)) }
    }

    #[test]
    fn parts_of_other_runs_and_impossible_numbers_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let [run, other] = [RunId::new(), RunId::new()];
        let torn = |part: Part| {
            let (kept, torn) = EarlierParts::open(folder.path(), run, &mut vec![part]);
            (kept.done().len(), torn.into_iter().map(|(_, reason)| reason).collect::<String>())
        };
        assert_eq!(torn(part(folder.path(), run, 7)), (1, String::new()));
        assert_eq!(torn(part(folder.path(), other, 7)), (0, "it is not a part of this run".to_owned()));
        for number in [MOST_NUMBERS, u64::MAX] {
            let (done, reason) = torn(part(folder.path(), run, number));
            assert!(done == 0 && reason.contains(&format!("the number {number}; ")), "{reason}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_or_a_pipe_is_not_a_part() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunId::new();
        let whole = part(folder.path(), run, 7);
        let path = Part::path(folder.path(), 1);
        let torn = || EarlierParts::open(folder.path(), run, &mut vec![whole.clone()]).1.remove(0).1;
        std::fs::rename(&path, folder.path().join("other")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("other"), &path).unwrap();
        assert_eq!(torn(), "it is a symbolic link");
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(torn().contains("a pipe or a device"));
    }
}
