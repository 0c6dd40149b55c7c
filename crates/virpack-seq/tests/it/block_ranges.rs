//! Ranges of BGZF: the same records as the text has, from blocks that are read once, or twice at a border.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use virpack_seq::reader::{self, Cut, RecordRange, hex};
use virpack_seq::{Hint, Input, ReadLimits, Record, SeqError};

use crate::support;
use crate::support::codecs::{bgzf, gzip};

fn letters(record: &Record) -> u64 {
    record.sequence.len() as u64
}

fn cut(path: &Path, most: u64) -> Result<(Cut, Vec<RecordRange>), SeqError> {
    let mut ranges = Vec::new();
    let inputs = [path.to_owned().into()];
    let cut = reader::cut(&inputs, ReadLimits::default(), most, letters, |range| ranges.push(range))?;
    Ok((cut, ranges))
}

fn shown(record: &Record) -> String {
    let Record { id, description, sequence, index, line, .. } = record;
    format!("{index} {line} {id}|{description}|{}", String::from_utf8_lossy(sequence))
}

/// Where a range is in its text, and which records it has.
fn places(ranges: &[RecordRange]) -> Vec<[u64; 5]> {
    ranges.iter().map(|r| [r.line, r.record, r.before, r.records, r.weight]).collect()
}

/// Checks the ranges of a text in this file of blocks, and returns them with the bytes that they read.
fn check(folder: &Path, text: &[u8], blocks: &[u8], most: u64) -> (Vec<RecordRange>, u64) {
    let [plain, packed] = [("text", text), ("text.gz", blocks)].map(|(name, bytes)| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    });
    let (_, of_text) = cut(&plain, most).unwrap();
    let (seen, ranges) = cut(&packed, most).unwrap();
    assert_eq!(places(&ranges), places(&of_text));
    assert_eq!(seen.inputs[0].sha256, hex(&Sha256::digest(blocks)));
    let whole = support::read(reader::open(&[plain.into()]).unwrap()).0;
    let (mut records, mut bytes_read, mut next) = (Vec::new(), 0, 0);
    for range in &ranges {
        let opened = open(&packed, range, &seen).unwrap();
        let progress = opened.progress();
        let (read, error) = support::read(opened);
        assert!(error.is_none(), "{range:?}: {error:?}");
        let [checksum] = &progress.checksums()[..] else { panic!("one input is read") };
        assert_eq!(checksum.sha256, range.sha256, "{range:?}");
        let part = &blocks[range.bytes.start as usize..range.bytes.end as usize];
        assert_eq!(range.sha256, hex(&Sha256::digest(part)));
        assert_eq!(progress.bytes(), part.len() as u64);
        if let Some(text) = &range.text {
            assert_eq!(text.bytes.start, next, "{range:?}");
            next = text.bytes.end;
        }
        bytes_read += progress.bytes();
        records.extend(read);
    }
    let [whole, records] = [whole, records].map(|all| all.iter().map(shown).collect::<Vec<_>>());
    assert_eq!(records, whole);
    if ranges.len() > 1 {
        assert_eq!(next, text.len() as u64);
    }
    (ranges, bytes_read)
}

fn open(path: &Path, range: &RecordRange, cut: &Cut) -> Result<virpack_seq::Records, SeqError> {
    let inputs: [Input; 1] = [path.to_owned().into()];
    reader::open_range(&inputs, range, &cut.inputs[0], ReadLimits::default())
}

/// A file of records, some of them wrapped, with blank lines between.
fn text() -> impl Strategy<Value = String> {
    let record = ("[ACGT]{0,40}", 1..12usize, 0..3usize);
    (prop::collection::vec(record, 0..20), any::<bool>()).prop_map(|(records, is_fastq)| {
        let mut text = String::new();
        for (i, (sequence, width, blanks)) in records.iter().enumerate() {
            let width = if i % 3 == 0 { *width } else { usize::MAX };
            let lines = |letters: &str| {
                let lines = letters.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line) + "\n");
                if letters.is_empty() { "\n".to_owned() } else { lines.collect() }
            };
            let mark = if is_fastq { '@' } else { '>' };
            text += &format!("{mark}r{i} >d\n{}", lines(sequence));
            if is_fastq {
                text += &format!("+\n{}", lines(&"@".repeat(sequence.len())));
            }
            text += &"\n".repeat(*blanks);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ranges_of_blocks_are_the_ranges_of_their_text(text in text(), block in 1..90usize, most in 0..80u64) {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), text.as_bytes(), &bgzf(text.as_bytes(), block), most);
    }
}

/// 4 MB of records that do not repeat, so that blocks are of the size that they have in practice.
fn large(is_fastq: bool) -> Vec<u8> {
    let (mut text, mut state) = (Vec::new(), 1_u64);
    for i in 0..20_000 {
        let length = 60 + i % 80;
        let letters: String = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ['A', 'C', 'G', 'T'][(state >> 60) as usize % 4]
            })
            .collect();
        text.extend(match is_fastq {
            true => format!("@q{i}\n{letters}\n+\n{}\n", "I".repeat(length)).into_bytes(),
            false => format!(">q{i}\n{}\n{letters}\n", &letters[..60]).into_bytes(),
        });
    }
    text
}

#[test]
fn all_ranges_together_read_the_blocks_once() {
    let folder = tempfile::tempdir().unwrap();
    for is_fastq in [false, true] {
        let text = large(is_fastq);
        let blocks = bgzf(&text, 65_280);
        let (ranges, read) = check(folder.path(), &text, &blocks, 500_000);
        assert!(ranges.len() >= 4, "{}", ranges.len());
        assert!(read as f64 <= 1.05 * blocks.len() as f64 + 65_536.0 * (ranges.len() - 1) as f64);
        for pair in ranges.windows(2) {
            let shared = pair[0].bytes.end - pair[1].bytes.start;
            assert!(shared > 0 && shared <= 65_536, "{pair:?}");
        }
        // Blocks that are small beside ranges, as they are where a range has millions of letters.
        let blocks = bgzf(&text, 4_000);
        let (ranges, read) = check(folder.path(), &text, &blocks, 300_000);
        assert!(ranges.len() >= 5 && read > blocks.len() as u64, "{}", ranges.len());
        assert!(read as f64 <= 1.05 * blocks.len() as f64, "{read} of {}", blocks.len());
    }
}

#[test]
fn blank_lines_between_records_do_not_stop_the_division() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..40_000).map(|i| format!("@q{i}\nACGTACGT\n+\nIIIIIIII\n\n")).collect();
    let (ranges, _) = check(folder.path(), text.as_bytes(), &bgzf(text.as_bytes(), 65_280), 8_000);
    assert_eq!(ranges.len(), 40);
}

#[test]
fn joined_files_are_divided_and_plain_gzip_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let half: String = (0..50).map(|i| format!(">a{i}\nMKTMKTMKT\n")).collect();
    let text = half.repeat(2);
    let [blocks, plain] = [bgzf(half.as_bytes(), 100), gzip(half.as_bytes())];
    let (ranges, _) = check(folder.path(), text.as_bytes(), &[&blocks[..], &blocks].concat(), 90);
    assert_eq!(ranges.len(), 10);
    // Trailing zeros, as tapes have them.
    check(folder.path(), text.as_bytes(), &[&blocks[..], &blocks, &[0; 512]].concat(), 90);

    let packed = folder.path().join("mixed.gz");
    for (file, before) in [([&blocks[..], &plain], 5), ([&plain, &blocks[..]], 0)] {
        std::fs::write(&packed, file.concat()).unwrap();
        let (seen, ranges) = cut(&packed, 90).unwrap();
        // What follows the blocks belongs to the last range that begins in them.
        assert_eq!(ranges.len(), before.max(1), "{ranges:?}");
        let records: usize = ranges
            .iter()
            .map(|range| {
                let opened = open(&packed, range, &seen).unwrap();
                let progress = opened.progress();
                let (records, error) = support::read(opened);
                assert!(error.is_none(), "{error:?}");
                assert_eq!(progress.checksums()[0].sha256, range.sha256);
                assert_eq!(records.len() as u64, range.records);
                records.len()
            })
            .sum();
        assert_eq!(records, 100);
    }
}

/// A file of 5 ranges, and what was seen of it.
fn divided(folder: &Path) -> (PathBuf, Vec<u8>, Cut, Vec<RecordRange>) {
    let text = large(false);
    let blocks = bgzf(&text, 20_000);
    let path = folder.join("in.fa.gz");
    std::fs::write(&path, &blocks).unwrap();
    let (cut, ranges) = cut(&path, 600_000).unwrap();
    assert!(ranges.len() >= 4);
    (path, blocks, cut, ranges)
}

#[test]
fn a_torn_block_is_reported_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (path, blocks, seen, ranges) = divided(folder.path());
    let place = usize::try_from(ranges[2].bytes.start).unwrap();
    let modified = seen.inputs[0].modified.unwrap();
    // The file keeps its size and time, so that only its bytes show it.
    let write = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    };
    let mut torn = blocks.clone();
    torn[place + 200..place + 260].fill(0xAA);
    write(&torn);
    let error = support::read(open(&path, &ranges[2], &seen).unwrap()).1.unwrap();
    let message = error.to_string();
    assert!(message.contains("in.fa.gz:") && message.contains("the gzip data are damaged"), "{message}");
    assert!(message.contains(&format!("in the block at byte {place}")), "{message}");
    assert!(error.hint().is_some());
    // The other ranges are whole, apart from the one that has the beginning of the block.
    assert!(support::read(open(&path, &ranges[0], &seen).unwrap()).1.is_none());
    assert!(support::read(open(&path, &ranges[3], &seen).unwrap()).1.is_none());
    assert!(cut(&path, 600_000).unwrap_err().to_string().contains("in the block at byte"));

    // Blocks of another file in the place of these: whole, with other text.
    let other = bgzf(&large(false).to_ascii_lowercase(), 20_000);
    write(
        &[&other[..other.len().min(blocks.len())], &vec![0; blocks.len().saturating_sub(other.len())]]
            .concat(),
    );
    let opened = open(&path, &ranges[1], &seen).unwrap();
    let progress = opened.progress();
    let (_, error) = support::read(opened);
    let is_noticed =
        error.is_some() || progress.checksums().pop().is_none_or(|c| c.sha256 != ranges[1].sha256);
    assert!(is_noticed, "another file is not noticed");
}

#[test]
fn a_file_without_its_last_block_and_a_changed_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, blocks, seen, ranges) = divided(folder.path());
    let end = blocks.len() - bgzf(b"", 1).len();
    for kept in [end, end - 1, end / 2] {
        std::fs::write(&path, &blocks[..kept]).unwrap();
        let error = cut(&path, 600_000).unwrap_err().to_string();
        assert!(error.contains("in.fa.gz:") && error.contains("end too early"), "{error}");
        let error = open(&path, &ranges[0], &seen).err().unwrap().to_string();
        assert!(error.contains("its size went from"), "{error}");
    }
    let error = {
        std::fs::write(&path, &blocks[..end]).unwrap();
        cut(&path, 600_000).unwrap_err().to_string()
    };
    assert!(error.contains("the empty block is missing"), "{error}");
}
