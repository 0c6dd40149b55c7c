//! Inputs that change while they are read: an error that says what happened, and no record that was not in
//! the input.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use virpack_seq::reader::Change;
use virpack_seq::{Hint, InputError, Record, Records, SeqError, reader};

/// Many blocks.
const RECORDS: usize = 20_000;

fn fasta() -> Vec<u8> {
    (0..RECORDS).flat_map(|i| format!(">r{i}\n{}\n", "MKTAYIAKQR".repeat(8)).into_bytes()).collect()
}

fn fastq() -> Vec<u8> {
    (0..RECORDS).flat_map(|i| format!("@r{i}\n{0}\n+\n{0}\n", "ACGTACGTAC".repeat(4)).into_bytes()).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

/// Reads to the end or the error, and also returns the number of records.
fn rest(records: &mut Records) -> (usize, Option<SeqError>) {
    let (mut record, mut read) = (Record::default(), 0);
    loop {
        match records.read(&mut record) {
            Ok(true) => read += 1,
            Ok(false) => return (read, None),
            Err(error) => return (read, Some(error)),
        }
    }
}

/// Reads one record, changes the file, and continues; returns the change and its message.
#[track_caller]
fn changed(bytes: &[u8], change: impl FnOnce(&Path)) -> (Change, String) {
    let place = TempDir::new().unwrap();
    let path = place.path().join("input");
    fs::write(&path, bytes).unwrap();
    let mut records = reader::open(&[path.clone().into()]).unwrap();
    assert!(records.read(&mut Record::default()).unwrap());
    change(&path);
    let (read, error) = rest(&mut records);
    assert!(read <= RECORDS, "{read}");
    assert!(records.progress().check_unchanged(false).is_err());
    let message = error.as_ref().unwrap().to_string();
    assert!(error.as_ref().and_then(SeqError::hint).is_some(), "{error:?}");
    let Some(SeqError::Input(InputError::Changed { path: named, change })) = error else {
        panic!("{message}")
    };
    assert_eq!(named, path);
    assert!(message.contains("changed while virpack read it"), "{message}");
    (change, message)
}

fn append(path: &Path, bytes: &[u8]) {
    File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn kinds() -> [Vec<u8>; 4] {
    [fasta(), fastq(), gzip(&fasta()), gzip(&fastq())]
}

#[test]
fn a_file_that_grows() {
    for bytes in kinds() {
        let size = bytes.len() as u64;
        let (change, message) = changed(&bytes, |path| append(path, &bytes[..100]));
        assert_eq!(change, Change::Size { from: size, to: size + 100 });
        assert!(message.contains(&format!("went from {size} to {} bytes", size + 100)), "{message}");
        assert!(change.hint().unwrap().contains("wait until no program writes to the file"), "{change:?}");
    }
}

#[test]
fn a_file_that_is_cut() {
    for bytes in kinds() {
        // At the end of a FASTA record, where nothing else would show it.
        let end = bytes.windows(2).rposition(|two| two == b"\n>").map_or(bytes.len() - 1000, |end| end + 1);
        let (change, _) = changed(&bytes, |path| {
            File::options().write(true).open(path).unwrap().set_len(end as u64).unwrap();
        });
        assert_eq!(change, Change::Size { from: bytes.len() as u64, to: end as u64 });
    }
}

#[test]
fn a_file_that_is_written_over_in_place() {
    for bytes in kinds() {
        let (change, message) = changed(&bytes, |path| {
            // Garbage of the same size, in the part that is not read yet.
            let mut file = File::options().write(true).open(path).unwrap();
            std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(1_000_000)).unwrap();
            file.write_all(&[1; 1000]).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
        });
        assert_eq!(change, Change::Written { bytes: bytes.len() as u64 });
        assert!(message.contains("modification time moved"), "{message}");
    }
}

#[test]
fn a_file_that_is_touched() {
    let bytes = fasta();
    let (change, _) = changed(&bytes, |path| {
        let later = SystemTime::now() + Duration::from_secs(1);
        File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
    });
    assert_eq!(change, Change::Written { bytes: bytes.len() as u64 });
}

#[test]
#[cfg(unix)]
fn a_file_that_another_one_takes_the_name_of() {
    for bytes in kinds() {
        let (change, message) = changed(&bytes, |path| {
            let other = path.with_extension("new");
            fs::write(&other, &bytes[..500]).unwrap();
            fs::rename(other, path).unwrap();
        });
        assert_eq!(change, Change::Replaced { from: bytes.len() as u64, to: 500 });
        assert!(message.contains("another file has its name"), "{message}");
        assert_eq!(changed(&bytes, |path| fs::remove_file(path).unwrap()).0, Change::Gone);
    }
}

fn two() -> (TempDir, [PathBuf; 2], Records) {
    let place = TempDir::new().unwrap();
    let paths = ["a.fa", "b.fa"].map(|name| place.path().join(name));
    paths.iter().for_each(|path| fs::write(path, fasta()).unwrap());
    let inputs = paths.each_ref().map(|path| path.clone().into());
    let mut records = reader::open(&inputs).unwrap();
    assert!(records.read(&mut Record::default()).unwrap());
    (place, paths, records)
}

#[test]
fn a_file_that_changes_before_its_turn() {
    let (_place, [_, second], mut records) = two();
    append(&second, b">more\nMK\n");
    let (read, error) = rest(&mut records);
    assert_eq!(read, RECORDS - 1);
    assert!(matches!(error, Some(SeqError::Input(InputError::Changed { path, .. })) if path == second));
}

#[test]
fn a_file_that_changes_after_its_turn_does_not_matter_to_its_records() {
    let (_place, [first, _], mut records) = two();
    let mut record = Record::default();
    while record.source == 0 {
        assert!(records.read(&mut record).unwrap());
    }
    append(&first, b">more\nMK\n");
    let (_, error) = rest(&mut records);
    assert!(error.is_none(), "{error:?}");
    records.progress().check_unchanged(false).unwrap();
    assert!(records.progress().check_unchanged(true).is_err());
}

#[test]
#[cfg(unix)]
fn a_pipe_is_whatever_comes_out_of_it() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut records = reader::open(&[path.clone().into()]).unwrap();
    let writer = std::thread::spawn(move || fs::write(path, fasta()).unwrap());
    let (read, error) = rest(&mut records);
    writer.join().unwrap();
    assert!(read == RECORDS && error.is_none(), "{read} {error:?}");
}
