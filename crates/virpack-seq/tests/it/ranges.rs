//! Ranges of inputs: together they give the records of the complete input, each once and in order, and read
//! no byte twice.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use virpack_seq::reader::{self, Cut, RecordRange, hex};
use virpack_seq::{Input, InputError, ReadLimits, Record, SeqError};

use crate::support;
use crate::support::codecs::gzip;

fn letters(record: &Record) -> u64 {
    record.sequence.len() as u64
}

fn cut(inputs: &[Input], most: u64) -> Result<(Cut, Vec<RecordRange>), SeqError> {
    let mut ranges = Vec::new();
    let cut = reader::cut(inputs, ReadLimits::default(), most, letters, |range| ranges.push(range))?;
    Ok((cut, ranges))
}

/// Returns all facts of a record and of its place.
fn shown(record: &Record) -> String {
    let Record { id, description, sequence, index, source, line, .. } = record;
    format!("{index} {source}:{line} {id}|{description}|{}", String::from_utf8_lossy(sequence))
}

/// Checks that the ranges of files give the same records as the files, and are no heavier than `most`.
fn check(paths: &[PathBuf], most: u64) -> (Cut, Vec<RecordRange>) {
    let inputs: Vec<Input> = paths.iter().map(|path| path.clone().into()).collect();
    let (whole, error) = support::read(reader::open(&inputs).unwrap());
    assert!(error.is_none(), "{error:?}");
    let (cut, ranges) = cut(&inputs, most).unwrap();
    let (mut of_ranges, mut bytes_read, mut weight) = (Vec::new(), 0, 0);
    for range in &ranges {
        let input = &cut.inputs[range.source as usize];
        let records = reader::open_range(&inputs, range, input, ReadLimits::default()).unwrap();
        assert_eq!(records.next_index(), range.record);
        let progress = records.progress();
        let (records, error) = support::read(records);
        assert!(error.is_none(), "{range:?}: {error:?}");
        assert_eq!(records.len() as u64, range.records, "{range:?}");
        assert_eq!(records.iter().map(letters).sum::<u64>(), range.weight);
        assert!(range.weight <= most || range.records == 1 || is_whole(range, input.bytes), "{range:?}");
        let [checksum] = &progress.checksums()[..] else { panic!("one input is read") };
        assert_eq!((&checksum.sha256, checksum.source), (&range.sha256, range.source));
        let bytes = std::fs::read(&paths[range.source as usize]).unwrap();
        let part = &bytes[range.bytes.start as usize..range.bytes.end as usize];
        assert_eq!(range.sha256, hex(&Sha256::digest(part)));
        bytes_read += progress.bytes();
        weight += range.weight;
        of_ranges.extend(records);
    }
    let [whole, of_ranges] =
        [&whole, &of_ranges].map(|records| records.iter().map(shown).collect::<Vec<_>>());
    assert_eq!(of_ranges, whole);
    assert_eq!((cut.records, cut.weight), (whole.len() as u64, weight));
    let bytes_in = |source: u32| cut.inputs[source as usize].bytes;
    let mut sources: Vec<u32> = ranges.iter().map(|range| range.source).collect();
    sources.dedup();
    assert_eq!(bytes_read, sources.iter().map(|source| bytes_in(*source)).sum::<u64>());
    for pair in ranges.windows(2).filter(|pair| pair[0].source == pair[1].source) {
        assert_eq!(pair[0].bytes.end, pair[1].bytes.start);
    }
    (cut, ranges)
}

fn is_whole(range: &RecordRange, bytes: u64) -> bool {
    range.bytes == (0..bytes)
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A header: with marks of both formats in it, with a description or without, or empty.
fn header() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b >c", "d@e", ">f", "@g h", "+", "@HD\tVN:1", "r1 l=3"])
        .prop_map(String::from)
}

fn sequence() -> impl Strategy<Value = String> {
    "[ACGT]{0,30}"
}

/// The lines of a text, each of limited length.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let lines = text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned());
    if text.is_empty() { vec![String::new()] } else { lines.collect() }
}

fn fasta_record() -> impl Strategy<Value = Vec<String>> {
    (header(), sequence(), 1..12usize, 0..3usize).prop_map(|(header, sequence, width, blanks)| {
        let lines = wrapped(&sequence, width).into_iter().filter(|line| !line.is_empty());
        let blanks = std::iter::repeat_n(String::new(), blanks);
        [format!(">{header}")].into_iter().chain(lines).chain(blanks).collect()
    })
}

/// A FASTQ record, in four lines or wrapped, whose quality lines may begin with any mark.
fn fastq_record() -> impl Strategy<Value = Vec<String>> {
    let record = (header(), sequence(), prop::option::of(1..12usize), 0..3usize);
    let qualities = prop::collection::vec(prop::sample::select(b"@+>I;".to_vec()), 30..=30);
    (record, qualities).prop_map(|((header, sequence, width, blanks), qualities)| {
        let qualities = String::from_utf8(qualities[..sequence.len()].to_vec()).unwrap();
        let width = width.unwrap_or(usize::MAX);
        let mut lines = vec![format!("@{header}")];
        lines.extend(wrapped(&sequence, width));
        lines.push("+".to_owned());
        lines.extend(wrapped(&qualities, width));
        lines.extend(std::iter::repeat_n(String::new(), blanks));
        lines
    })
}

/// A file of such records; its last line may have no end.
fn file(record: impl Strategy<Value = Vec<String>>) -> impl Strategy<Value = String> {
    (prop::collection::vec(record, 0..12), any::<bool>(), any::<bool>()).prop_map(
        |(records, crlf, is_open)| {
            let end = if crlf { "\r\n" } else { "\n" };
            let mut text: String = records.concat().iter().map(|line| format!("{line}{end}")).collect();
            // A last empty line is the quality of an empty record.
            if is_open && !text.ends_with(&format!("{end}{end}")) {
                text.truncate(text.len().saturating_sub(end.len()));
            }
            text
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ranges_of_any_files_are_the_files(
        fasta in file(fasta_record()), fastq in file(fastq_record()), most in 0..80u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        check(&[write(folder.path(), "a", fasta), write(folder.path(), "b", fastq)], most);
    }
}

#[test]
fn ranges_of_large_files_are_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let (mut fasta, mut fastq) = (String::new(), String::new());
    for i in 0..30_000 {
        fasta += &format!(">r{i} > d\nMKTAYIAKQR\nLLV\n");
        fastq += &match i % 7 {
            0 => format!("@q{i}\nACGT\nAC\n+\n@+II\n>I\n"),
            _ => format!("@q{i} x\nACGTACGT\n+q{i}\n@IIIIII{}\n", i % 10),
        };
    }
    // One record is larger than several blocks, and than the limit of a range.
    fastq += &format!("@long\n{}\n+\n{}\n@last\nA\n+\n@\n", "A".repeat(900_000), "@".repeat(900_000));
    let paths = [write(folder.path(), "a.fa", &fasta), write(folder.path(), "b.fq", &fastq)];
    let (_, ranges) = check(&paths, 20_000);
    assert!(ranges.len() > 30, "{}", ranges.len());
    let long: Vec<_> = ranges.iter().filter(|range| range.weight > 20_000).collect();
    assert!(matches!(&long[..], [range] if range.records == 1 && range.weight == 900_000), "{long:?}");
}

#[test]
fn what_cannot_be_divided_is_one_range() {
    let folder = tempfile::tempdir().unwrap();
    let packed = write(folder.path(), "a.fa.gz", gzip(b">a\nMKT\n>b\nMKT\n"));
    let empty = write(folder.path(), "b.fa", "\n \n");
    let none = write(folder.path(), "c.fa", "");
    let (cut, ranges) = check(&[packed.clone(), empty, none, packed], 1);
    assert_eq!(ranges.iter().map(|range| (range.source, range.record)).collect::<Vec<_>>(), [(0, 0), (3, 2)]);
    assert_eq!((cut.records, cut.remarks.len()), (4, 2), "{:?}", cut.remarks);
}

#[test]
fn a_mark_of_dos_ends_the_file_and_no_range() {
    let folder = tempfile::tempdir().unwrap();
    check(&[write(folder.path(), "a.fa", ">a\r\nMK\r\n>b\r\nMK\r\n\x1a")], 2);
    let path = write(folder.path(), "b.fa", ">a\nMK\n\x1a\n>b\nMK\n");
    let error = cut(&[path.into()], 2).unwrap_err();
    assert!(matches!(error, SeqError::Input(InputError::StrayByte { line: 3, .. })), "{error}");
}

#[test]
fn a_fault_is_at_its_line_in_a_range_as_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.fa", ">a\nMK\n>b\nMK\n>c\nMK\n");
    let inputs = [path.clone().into()];
    let (cut, ranges) = cut(&inputs, 2).unwrap();
    // A change that the plan cannot know: the file changes, and keeps its size and time.
    std::fs::write(&path, ">a\nMK\n>b\nMK\n>c\nM!\n").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(cut.inputs[0].modified.unwrap()).unwrap();
    let open = |range| reader::open_range(&inputs, range, &cut.inputs[0], ReadLimits::default());
    let (_, error) = support::read(open(&ranges[2]).unwrap());
    let error = error.unwrap().to_string();
    assert!(error.contains("a.fa:6: record 3"), "{error}");
    std::fs::write(&path, ">a\nMK\n>b\nMK\n>c\nMKK\n").unwrap();
    for (range, change) in [(&ranges[0], "its size went from 18 to 19 bytes"), (&ranges[2], "its size")] {
        let error = open(range).err().unwrap().to_string();
        assert!(error.contains(change), "{error}");
    }
    std::fs::write(&path, ">a\nMK\n>b\nMK\n>c\nMK\n").unwrap();
    let error = open(&ranges[0]).err().unwrap().to_string();
    assert!(error.contains("its modification time moved"), "{error}");
}

#[test]
fn only_files_have_ranges() {
    let error = cut(&["-".into()], 1).unwrap_err();
    assert!(matches!(error, SeqError::Input(InputError::NoFile { .. })), "{error}");
}
