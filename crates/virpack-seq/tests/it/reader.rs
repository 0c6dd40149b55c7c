//! Good, unusual and bad inputs: the records, their order, and the errors.

use std::io::Write;
use std::path::{Path, PathBuf};

use virpack_seq::reader::{self, Remark};
use virpack_seq::{Hint, Input, InputError, ReadOptions, Record, SeqError};

use crate::support;
use crate::support::codecs::{CODECS, gzip};

/// A file in a directory that is deleted with the test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Returns all records, and the error that ended them.
fn read(paths: &[&Path]) -> (Vec<Record>, Option<SeqError>) {
    let inputs: Vec<Input> = paths.iter().map(|path| path.to_path_buf().into()).collect();
    support::read(reader::open(&inputs).unwrap())
}

fn read_bytes(bytes: impl AsRef<[u8]>) -> (Vec<Record>, Option<SeqError>) {
    let files = Files::new();
    read(&[&files.write("input", bytes)])
}

/// `id/description/line/sequence` of every record.
fn show(records: &[Record]) -> Vec<String> {
    let text = |r: &Record| String::from_utf8_lossy(&r.sequence).into_owned();
    records.iter().map(|r| format!("{}/{}/{}/{}", r.id, r.description, r.line, text(r))).collect()
}

fn good(bytes: impl AsRef<[u8]>) -> Vec<String> {
    let (records, error) = read_bytes(bytes);
    assert!(error.is_none(), "{error:?}");
    show(&records)
}

#[test]
fn fasta_in_all_its_shapes() {
    assert_eq!(good(">a one two\nMK\nTL\n>b\nAC\n"), ["a/one two/1/MKTL", "b//4/AC"]);
    assert_eq!(good(">a\r\nMK\r\nTL\r\n\r\n>b \r\nAC"), ["a//1/MKTL", "b//5/AC"]);
    assert_eq!(good("\n \n>a\n\nMK\n\n\n>b\nAC\n\n"), ["a//3/MK", "b//8/AC"]);
    assert_eq!(good(">a\tx\nM K\t T\n"), ["a/x/1/MKT"]);
    assert_eq!(good("\u{feff}>a\nMK"), ["a//1/MK"]);
    assert_eq!(good(">a b>c\nMKT\n>\nAC\n> d e\nAC"), ["a/b>c/1/MKT", "//3/AC", "d/e/5/AC"]);
}

#[test]
fn ids_that_are_not_utf8_stay_different_and_are_reported() {
    let [fasta, fastq] = [
        &b">s\xe9 d\xe8j\xe0\nMK\n>\xc3\xa9\nAC\n>s\xe8\nAC\n"[..],
        b"@s\xe9 d\xe8j\xe0\nMK\n+\nII\n@\xc3\xa9\nAC\n+\nII\n@s\xe8\nAC\n+\nII",
    ];
    for (text, lines) in [(fasta, [1, 3, 5]), (fastq, [1, 5, 9])] {
        let files = Files::new();
        let inputs = [Input::from(files.write("old.fa", text))];
        let mut records = reader::open(&inputs).unwrap();
        let (mut record, mut ids) = (Record::default(), Vec::new());
        while records.read(&mut record).unwrap() {
            ids.push((record.id.to_string(), record.description.clone(), record.line));
        }
        let [first, second, third] = lines;
        let is = |id: &str, description: &str, line| (id.to_owned(), description.to_owned(), line);
        assert_eq!(ids, [is("s\\xe9", "d\\xe8j\\xe0", first), is("é", "", second), is("s\\xe8", "", third)]);
        let [remark] = &records.remarks()[..] else { panic!("{:?}", records.remarks()) };
        let said =
            "old.fa:1: 2 headers are not UTF-8, the first here, and their other bytes are written as \\xe9; ";
        let said = format!("{said}`iconv -f latin1 -t utf-8` converts Latin-1");
        assert!(remark.to_string().ends_with(&said), "{remark}");
    }
}

#[test]
fn carriage_returns_alone_end_no_line() {
    // Records after the header of a record with other line ends, at a join of files.
    for text in [">a\rMKT\r>b\nMK\n", ">a\rMKTAYIAKQR\nMK\n", "@a\rAC\nGT\n+\nII\n"] {
        let (records, error) = read_bytes(text);
        assert!(records.is_empty(), "{text}");
        assert!(
            matches!(error, Some(SeqError::Input(InputError::CarriageReturns { line: 1, record: 1, .. }))),
            "{error:?}"
        );
    }
    let (records, error) = read_bytes(b">a\nMK\n>b x\rMK\r>c\rTL\r");
    assert_eq!(show(&records), ["a//1/MK"]);
    let error = error.unwrap();
    let message = error.to_string();
    assert!(message.ends_with(":3: record 2: its lines end with carriage returns alone"), "{message}");
    assert!(error.hint().unwrap().starts_with("tr '\\r' '\\n'"), "{error:?}");
    // A carriage return in a header belongs to the header.
    assert_eq!(good(">a\rb\nMK\n"), ["a\rb//1/MK"]);
}

#[test]
fn headers_without_a_sequence_are_records() {
    assert_eq!(good(">a\n>b\n>c\nMK\n>d"), ["a//1/", "b//2/", "c//3/MK", "d//5/"]);
    assert_eq!(good(">a\n>b\n"), ["a//1/", "b//2/"]);
    assert_eq!(good(">a\n\n\n>b\n\n"), ["a//1/", "b//4/"]);
    assert_eq!(good(">a"), ["a//1/"]);
    assert_eq!(good(">"), ["//1/"]);
    assert_eq!(good("@a\n\n+\n\n@b\nA\n+\nI\n"), ["a//1/", "b//5/A"]);
}

#[test]
fn fastq_in_all_its_shapes() {
    assert_eq!(good("@a x\nACGT\n+\nIIII\n@b\nAC\n+b\nII"), ["a/x/1/ACGT", "b//5/AC"]);
    assert_eq!(good("@a\r\nACGT\r\n+\r\nII@I\r\n"), ["a//1/ACGT"]);
    // Over several lines, as in early FASTQ; the qualities may begin with `@` and `+`.
    let wrapped = "@a x\nACGT\nAC\n+a x\n@III\n+I\n@b\nA\n+\nI\n\n@c\nAC\r\nG\r\n+\r\n@b\r\n@\r\n";
    assert_eq!(good(wrapped), ["a/x/1/ACGTAC", "b//7/A", "c//12/ACG"]);
    // A quality line may begin with `@`; there are blank lines between and after records.
    assert_eq!(good("\n@a\nAC\n+\n@I\n\n\r\n@b\nA\n+\nI\n\n\n"), ["a//2/AC", "b//8/A"]);
}

#[test]
fn records_across_many_blocks_keep_their_lines() {
    let mut text = String::new();
    for i in 0..40_000 {
        text += &format!(">r{i} d\nMKTAYIAKQR\nLLV\n");
    }
    let (records, error) = read_bytes(&text);
    assert!(error.is_none());
    assert_eq!(records.len(), 40_000);
    for (i, record) in records.iter().enumerate() {
        assert_eq!((record.index, record.line), (i as u64, 3 * i as u64 + 1));
        assert_eq!((&*record.id, &record.sequence[..]), (&*format!("r{i}"), &b"MKTAYIAKQRLLV"[..]));
    }
    let text: String = (0..40_000).map(|i| format!("@r{i}\nACGTAC\n+\nIIIIII\n\n")).collect();
    let (records, error) = read_bytes(&text);
    assert!(error.is_none());
    assert_eq!(records.len(), 40_000);
    assert!(records.iter().enumerate().all(|(i, r)| r.line == 5 * i as u64 + 1 && *r.id == *format!("r{i}")));
    // Wrapped ones share blocks; every third is plain, every seventh has a blank line before it.
    let (mut text, mut line, mut lines) = (String::new(), 1, Vec::new());
    for i in 0..40_000 {
        if i % 7 == 0 {
            text.push('\n');
            line += 1;
        }
        lines.push(line);
        text += &match i % 3 {
            0 => format!("@r{i}\nACGTAC\n+\nIIIIII\n"),
            _ => format!("@r{i}\nACG\nTAC\n+\n@I\n+III\n"),
        };
        line += if i % 3 == 0 { 4 } else { 6 };
    }
    text += "@bad\nAC\nG1\n+\nIIII\n";
    let (records, error) = read_bytes(&text);
    assert_eq!(records.len(), 40_000);
    for (i, record) in records.iter().enumerate() {
        assert_eq!((record.line, &*record.id), (lines[i], &*format!("r{i}")));
        assert_eq!(record.sequence, b"ACGTAC");
    }
    match error {
        Some(SeqError::Input(InputError::StrayByte { line: at, record: 40_001, id, byte: b'1', .. })) => {
            assert_eq!((at, &*id), (line + 2, "bad"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_of_ten_million_letters() {
    let mut text = b">big\n".to_vec();
    for _ in 0..125_000 {
        text.extend_from_slice(&[b'M'; 80]);
        text.push(b'\n');
    }
    text.extend_from_slice(b">next\nMK\n");
    let (records, error) = read_bytes(&text);
    assert!(error.is_none());
    assert_eq!((records.len(), records[0].sequence.len()), (2, 10_000_000));
    assert_eq!((records[1].line, &*records[1].id), (125_002, "next"));
}

/// Records that do not compress well, so that a cut falls between many of them.
fn noise(records: usize) -> String {
    let mut state = 1u64;
    let mut letter = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        b"LAGVSERTIDPKQNFYMHWC"[(state >> 33) as usize % 20] as char
    };
    (0..records).map(|i| format!(">r{i}\n{}\n", (0..300).map(|_| letter()).collect::<String>())).collect()
}

#[test]
fn compression_is_known_by_content_and_members_are_read_on() {
    let (one, two) = (noise(100), ">last\nMK\n");
    for (codec, compress) in CODECS {
        let mut bytes = compress(one.as_bytes());
        bytes.extend(compress(two.as_bytes()));
        let (records, error) = read_bytes(&bytes);
        assert!(error.is_none(), "{codec}: {error:?}");
        assert_eq!((records.len(), &*records[100].id, records[100].line), (101, "last", 201), "{codec}");
        assert_eq!(good(compress(b"@a\nAC\n+\nII\n")), ["a//1/AC"], "{codec}");
        // Compressed nothing is an empty input.
        let (records, error) = read_bytes(compress(b""));
        assert!(records.is_empty() && error.is_none(), "{codec}: {error:?}");
    }
}

#[test]
fn truncated_compression_delivers_the_complete_records_first() {
    let text = noise(6000);
    for (codec, compress) in CODECS {
        let whole = compress(text.as_bytes());
        let (records, error) = read_bytes(&whole[..whole.len() * 2 / 3]);
        let message = error.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(error.as_ref().and_then(SeqError::hint).is_some(), "{error:?}");
        match error {
            Some(SeqError::Input(InputError::Damaged { codec: named, records: before, line, .. })) => {
                assert_eq!((named, before as usize), (codec, records.len()), "{message}");
                assert!((2 * before + 1..=2 * before + 2).contains(&line), "{message}");
            }
            other => panic!("{codec}: {other:?}"),
        }
        assert!(records.len() > 1000, "{codec}: {}", records.len());
        for (i, record) in records.iter().enumerate() {
            assert_eq!((&*record.id, record.sequence.len()), (&*format!("r{i}"), 300), "{codec}");
        }
        assert!(message.contains(&format!("{codec} data end too early")), "{message}");
    }
}

#[test]
fn behind_gzip_padding_is_nothing_and_all_else_an_error() {
    let whole = gzip(b">a\nAC\n>b\nGT\n");
    assert_eq!(good([&whole[..], &[0; 600]].concat()), ["a//1/AC", "b//3/GT"]);
    let (records, error) = read_bytes([&whole[..], b">c\nAC\n"].concat());
    assert_eq!(records.len(), 1, "the last one may go on");
    let error = error.unwrap();
    let message = error.to_string();
    let end = whole.len();
    assert!(
        message.contains(&format!("the gzip data end at byte {end}, and what follows is not gzip: `>c`")),
        "{message}"
    );
    assert!(error.hint().unwrap().contains(&format!("head -c {end}")), "{error:?}");
}

#[test]
fn damaged_gzip_is_an_error() {
    let mut bytes = gzip(noise(2000).as_bytes());
    let end = bytes.len();
    bytes[end - 6] ^= 0x55; // the checksum
    assert!(matches!(read_bytes(&bytes).1, Some(SeqError::Input(InputError::Damaged { codec: "gzip", .. }))));
    bytes.truncate(5);
    assert!(matches!(read_bytes(&bytes).1, Some(SeqError::Input(InputError::Damaged { codec: "gzip", .. }))));
}

/// Found by fuzzing: the damage after an invalid record was returned as a second error.
#[test]
fn one_error_ends_the_stream() {
    let mut text = b">a\nM\0K\n".to_vec();
    text.extend(noise(6000).into_bytes());
    for (codec, compress) in CODECS {
        let whole = compress(&text);
        let (records, error) = read_bytes(&whole[..whole.len() / 2]);
        assert!(
            records.is_empty() && matches!(error, Some(SeqError::Input(InputError::Binary { .. }))),
            "{codec}: {error:?}"
        );
    }
}

/// Found by fuzzing: the first bytes of a pipe decided which error was returned.
#[test]
fn a_byte_at_a_time_gives_the_same_errors() {
    struct Bytes(Vec<u8>, usize);
    impl std::io::Read for Bytes {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let Some(byte) = self.0.get(self.1) else { return Ok(0) };
            self.1 += 1;
            buf[0] = *byte;
            Ok(1)
        }
    }
    let mut record = Record::default();
    for text in [&b"\xf5\x01\n"[..], b"Dear reader", b"Dear reader, this is a letter without an end of line"]
    {
        let mut records = virpack_seq::Records::from_reader("pipe", Bytes(text.to_vec(), 0)).unwrap();
        let error = records.read(&mut record).unwrap_err().to_string();
        let whole = read_bytes(text).1.unwrap().to_string();
        assert_eq!(error.split_once(':').unwrap().1, whole.split_once(':').unwrap().1);
    }
    let mut records =
        virpack_seq::Records::from_reader("pipe", Bytes(b"\xEF\xBB\xBF>a\nM\n".to_vec(), 0)).unwrap();
    assert!(records.read(&mut record).unwrap());
}

#[test]
fn missing_files_and_directories_fail_at_open() {
    let files = Files::new();
    let fine = files.write("a.fasta", ">a\nMK\n");
    let missing = files.0.path().join("typo.fasta");
    let error = reader::open(&[fine.clone().into(), fine.into(), missing.clone().into()]).err().unwrap();
    assert!(matches!(&error, SeqError::Open { path, .. } if *path == missing), "{error:?}");
    let error = reader::open(&[files.0.path().to_path_buf().into()]).err().unwrap();
    assert!(error.to_string().ends_with(" is a directory"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("name the files in it"));
    let error = reader::open(&["-".into(), "-".into()]).err().unwrap();
    assert!(matches!(error, SeqError::Input(InputError::StdinTwice { times: 2 })));
}

#[test]
fn several_inputs_are_one_stream() {
    let files = Files::new();
    let a = files.write("a", ">a\nMK\n>b\nAC\n");
    let empty = files.write("empty", "");
    let blank = files.write("blank", "\n\n \n");
    let b = files.write("b", gzip(b"@c\nAC\n+\nII\n"));
    let inputs: Vec<Input> = [&a, &empty, &blank, &b].map(|path| path.clone().into()).to_vec();
    let mut records = reader::open(&inputs).unwrap();
    let progress = records.progress();
    let mut record = Record::default();
    let mut seen = Vec::new();
    while records.read(&mut record).unwrap() {
        seen.push((record.index, record.source, record.line, record.id.to_string()));
    }
    assert_eq!(seen, [(0, 0, 1, "a".into()), (1, 0, 3, "b".into()), (2, 3, 1, "c".into())]);
    let remarks: Vec<(Input, Remark)> = records.remarks().into_iter().map(|r| (r.input, r.remark)).collect();
    assert_eq!(remarks, [(inputs[1].clone(), Remark::Empty), (inputs[2].clone(), Remark::Empty)]);
    assert_eq!(progress.total_bytes(), Some(progress.bytes()));
    assert_eq!(progress.records(), 3);
    assert!(!records.is_pipe());
}

#[test]
fn other_files_than_sequences_are_reported() {
    let (records, error) = read_bytes("\nDear reader,\nthis is a letter\n");
    assert!(records.is_empty());
    let error = error.unwrap();
    assert!(
        matches!(&error, SeqError::Input(InputError::NotSequences { line: 2, found, .. }) if found == "Dear reader,"),
        "{error:?}"
    );
    let (_, error) = read_bytes(b"\x7fELF\x02\x01\x01\0\0\0\0");
    assert!(matches!(error, Some(SeqError::Input(InputError::Foreign { .. }))), "{error:?}");
    let (records, error) = read_bytes(b">a\nMK\n>b\nM\0\0K\n>c\nMK\n");
    assert_eq!(show(&records), ["a//1/MK"]);
    assert!(
        matches!(error, Some(SeqError::Input(InputError::Binary { line: 3, record: 2, .. }))),
        "{error:?}"
    );
}

#[test]
fn bad_fastq_names_line_and_record() {
    let (records, error) = read_bytes("@a\nAC\n+\nII\n\n@b x\nACGT\n+\nII\n@c\nA\n+\nI\n");
    assert_eq!(show(&records), ["a//1/AC"]);
    match error.unwrap() {
        SeqError::Input(InputError::QualityLength {
            line: 6,
            record: 2,
            id,
            sequence: 4,
            quality: 2,
            ..
        }) => {
            assert_eq!(&*id, "b")
        }
        other => panic!("{other:?}"),
    }
    let (_, error) = read_bytes("@a\nAC\n+\nIIII\n");
    assert!(
        matches!(
            error,
            Some(SeqError::Input(InputError::QualityLength { line: 1, sequence: 2, quality: 4, .. }))
        ),
        "{error:?}"
    );
    let (records, error) = read_bytes("@a\nAC\n+\nII\n@b\nACGT\n");
    assert_eq!(records.len(), 1);
    assert!(
        matches!(error, Some(SeqError::Input(InputError::FastqTruncated { line: 6, record: 2, .. }))),
        "{error:?}"
    );
    let (_, error) = read_bytes("@a\nAC\n@b\nGT\n+\nII\n");
    assert!(
        matches!(
            error,
            Some(SeqError::Input(InputError::FastqLine {
                line: 3,
                record: 1,
                expected: '+',
                found: Some(b'@'),
                ..
            }))
        ),
        "{error:?}"
    );
    let (records, error) = read_bytes("@a\nAC\n+\nII\nb\nACGT\n+\nIIII\n");
    assert_eq!(records.len(), 1);
    assert!(
        matches!(
            error,
            Some(SeqError::Input(InputError::FastqLine { line: 5, record: 2, expected: '@', .. }))
        ),
        "{error:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_hands_on_records_before_it_ends() {
    let files = Files::new();
    let path = files.0.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (more, wait) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut pipe = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            pipe.write_all(b"@a\nAC\n+\nII\n@b\nAC\n+\nII\n").unwrap();
            // Held open until both records are read.
            wait.recv().unwrap();
        }
    });
    let mut records = reader::open(&[path.into()]).unwrap();
    assert!(records.is_pipe());
    let mut record = Record::default();
    assert!(records.read(&mut record).unwrap());
    assert!(records.read(&mut record).unwrap());
    assert_eq!(&*record.id, "b");
    more.send(()).unwrap();
    assert!(!records.read(&mut record).unwrap());
    writer.join().unwrap();
}

/// Returns the real proteins, if the shared data is beside the repository.
#[test]
fn twenty_thousand_proteins() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/proteins/uniprot_20k.fasta.gz");
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return;
    }
    let (records, error) = read(&[&path]);
    assert!(error.is_none());
    assert_eq!(records.len(), 20_000);
    assert_eq!(records.iter().map(|r| r.sequence.len()).sum::<usize>(), 796_890_072 / 88);
}

#[test]
fn checksums_are_those_of_the_files_as_they_lie_on_disk() {
    let text = ">a\nGCC\n".repeat(100_000);
    let place = Files::new();
    let mut files = vec![place.write("empty.fa", ""), place.write("plain.fa", &text)];
    for (codec, compress) in CODECS {
        files.push(place.write(codec, compress(text.as_bytes())));
        files.push(place.write(&format!("two-{codec}"), compress(text.as_bytes()).repeat(2)));
    }
    let inputs: Vec<Input> = files.iter().cloned().map(Input::from).collect();
    let mut records = reader::open_with(&inputs, ReadOptions::default().checksums(true)).unwrap();
    let mut record = Record::default();
    while records.read(&mut record).unwrap() {}
    let sums = records.progress().checksums();
    assert_eq!(sums.len(), files.len());
    for (i, (sum, path)) in sums.iter().zip(&files).enumerate() {
        let bytes = std::fs::read(path).unwrap();
        let sha256 = reader::hex(&<sha2::Sha256 as sha2::Digest>::digest(&bytes));
        assert_eq!((sum.source as usize, sum.bytes as usize, &sum.sha256), (i, bytes.len(), &sha256));
    }
    // The published digest of nothing.
    assert!(sums[0].sha256.starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
}
