//! The largest record and the longest header are read, and one byte more is refused with its place,
//! in every format.

use std::io::{Cursor, Read, Write};

use virpack_seq::{Hint, InputError, ReadLimits, Record, Records, SeqError};

const SMALL: ReadLimits = ReadLimits::new(2_000_000, 5_000);

/// Returns ids and lengths, and the error at the end.
fn read(text: impl Read + Send + 'static, limits: ReadLimits) -> (Vec<(String, usize)>, Option<SeqError>) {
    let mut records = Records::from_reader_within("in", text, limits).unwrap();
    let (mut record, mut all) = (Record::default(), Vec::new());
    loop {
        match records.read(&mut record) {
            Ok(true) => all.push((record.id.to_string(), record.sequence.len())),
            Ok(false) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

/// Returns a record of an exact size in bytes, in FASTA of one line and of several, and FASTQ of four lines
/// and of more.
fn of_size(kind: usize, id: &str, bytes: usize) -> Vec<u8> {
    let (mark, fixed) = if kind < 2 { (">", id.len() + 3) } else { ("@", id.len() + 3 + 4) };
    let mut text = format!("{mark}{id}\n").into_bytes();
    match kind {
        0 => text.extend(vec![b'A'; bytes - fixed]),
        1 => {
            while text.len() < bytes - 1 {
                let line = (bytes - 1 - text.len()).min(61);
                text.extend(vec![b'A'; line - usize::from(line > 1)]);
                text.extend(if line > 1 { &b"\n"[..] } else { b"A" });
            }
        }
        _ => {
            // The remaining bytes go into the line of the `+`.
            let letters = (bytes - fixed) / 2 - 2;
            let mut sequence = vec![b'A'; letters];
            let mut values = vec![b'I'; letters];
            if kind == 3 {
                sequence.insert(letters / 2, b'\n');
                values.insert(letters / 2, b'\n');
            }
            text.extend(&sequence);
            text.extend(b"\n+");
            let rest = bytes - text.len() - 1 - values.len() - 1;
            text.extend(vec![b'x'; rest]);
            text.extend(b"\n");
            text.extend(&values);
        }
    }
    text.push(b'\n');
    assert_eq!(text.len(), bytes, "{kind}");
    text
}

#[test]
fn the_largest_record_is_read_and_a_byte_more_is_not() {
    for kind in 0..4 {
        let largest = SMALL.record as usize;
        let (small, next) = (of_size(kind, "small", 100), of_size(kind, "next", 100));
        for last in [true, false] {
            let text = |bytes| {
                let mut text = [&small[..], &of_size(kind, "big", bytes)].concat();
                text.extend(next.iter().filter(|_| !last));
                text
            };
            for compressed in [false, true] {
                let input = |bytes| Cursor::new(if compressed { gzip(&text(bytes)) } else { text(bytes) });
                let (records, error) = read(input(largest), SMALL);
                assert!(error.is_none(), "{kind}: {error:?}");
                assert_eq!(records.len(), 3 - usize::from(last), "{kind}");
                let (records, error) = read(input(largest + 1), SMALL);
                assert_eq!(records.len(), 1, "{kind}");
                let error = error.unwrap();
                let message = error.to_string();
                let line = 1 + small.iter().filter(|byte| **byte == b'\n').count();
                let said = format!("in:{line}: record 2 (big) is larger than 2 MB");
                assert_eq!(message, said, "{kind}");
                assert!(error.hint().unwrap().starts_with("a larger limit on records reads it"), "{error:?}");
            }
        }
    }
}

#[test]
fn the_longest_header_is_read_and_a_byte_more_is_not() {
    for (mark, rest) in [(">", "\nACGT\n"), ("@", "\nACGT\n+\nIIII\n"), ("@", "\nAC\nGT\n+\nII\nII\n")] {
        for end in ["", "\r"] {
            // Within a block, and over several blocks.
            for most in [5_000usize, 600_000] {
                let limits = SMALL.header(most as u64);
                let text = |bytes| {
                    let record = format!("{mark}{}{end}{rest}", "h".repeat(bytes));
                    format!("{mark}a{rest}{record}{mark}b{rest}").into_bytes()
                };
                let (records, error) = read(Cursor::new(text(most)), limits);
                assert!(error.is_none() && records.len() == 3, "{mark} {most}: {error:?}");
                assert_eq!(records[1].0.len(), most);
                let (records, error) = read(Cursor::new(text(most + 1)), limits);
                let error = error.unwrap();
                let message = error.to_string();
                let line = 1 + format!("{mark}a{rest}").lines().count();
                let size = if most == 5_000 { "5 kB" } else { "600 kB" };
                let said = format!("in:{line}: record 2: its header is longer than {size}");
                assert_eq!((records.len(), &message), (1, &said));
                assert!(error.hint().unwrap().contains("a larger limit on headers"), "{error:?}");
            }
        }
    }
}

#[test]
fn a_header_that_has_no_end_is_refused_before_it_is_in_memory() {
    for mark in [">", "@"] {
        let text = Cursor::new(mark).chain(std::io::repeat(b'h'));
        let (_, error) = read(text, SMALL);
        assert!(
            matches!(error, Some(SeqError::Input(InputError::HeaderTooLong { line: 1, records: 0, .. }))),
            "{error:?}"
        );
    }
}

#[test]
fn a_record_that_has_no_end_is_refused_in_every_format() {
    let letters = |begin: &'static str| Cursor::new(begin).chain(std::io::repeat(b'A'));
    for begin in [">a\n", "@a\n", "@a\nA\nA\n+\nI\n", ">a\nA\n\n;a comment "] {
        let (records, error) = read(letters(begin), SMALL);
        let message = error.unwrap().to_string();
        assert!(records.is_empty() && message.contains("record 1 (a) is larger than 2 MB"), "{message}");
    }
    // Only blank lines, which are not kept before a record.
    let (_, error) = read(Cursor::new(">a\n").chain(std::io::repeat(b'\n')), SMALL);
    assert!(
        matches!(error, Some(SeqError::Input(InputError::RecordTooLarge { limit: 2_000_000, .. }))),
        "{error:?}"
    );
    // A read of BAM that claims more than the limit, and a header.
    let bam = |text: &[u8]| Cursor::new(text.to_vec()).chain(std::io::repeat(1));
    let header = *b"BAM\x01\0\0\0\0\0\0\0\0";
    let size = 1_500_000_000u32.to_le_bytes();
    let fixed = [&[0; 8][..], &[2, 0, 0, 0], &[0; 4], &8u32.to_le_bytes(), &[0; 12], b"r\0"].concat();
    let (_, error) = read(bam(&[&header[..], &size, &fixed].concat()), SMALL);
    assert!(matches!(error, Some(SeqError::Input(InputError::RecordTooLarge { line: 1, .. }))), "{error:?}");
    let (_, error) = read(bam(b"BAM\x01\xFF\xFF\xFF\x7F"), SMALL);
    assert!(matches!(error, Some(SeqError::Input(InputError::RecordTooLarge { .. }))), "{error:?}");
}

#[test]
fn a_record_that_compresses_too_well_is_refused() {
    // 101 MB of one letter, from 100 kB.
    let bomb = || {
        let letters = std::io::repeat(b'A').take(101_000_000);
        let mut text = Cursor::new(">good\nACGT\n>bomb\n").chain(letters);
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::copy(&mut text, &mut out).unwrap();
        Cursor::new(out.finish().unwrap())
    };
    let limits = ReadLimits::default().expansion(100);
    let (records, error) = read(bomb(), limits);
    let error = error.unwrap();
    let message = error.to_string();
    assert_eq!(records, [("good".to_owned(), 4)]);
    assert!(message.starts_with("in:3: record 2 (bomb) is larger than 100 MB, from at most "), "{message}");
    assert!(message.ends_with("no genome compresses so well"), "{message}");
    assert!(error.hint().unwrap().contains("reads it all the same"), "{error:?}");
    let (records, error) = read(bomb(), ReadLimits::new(limits.record, limits.header));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(records[1], ("bomb".to_owned(), 101_000_000));
}

#[test]
fn decoders_stay_within_their_memory_limit() {
    let text = b">a\nACGT\n".repeat(1000);
    let xz = |dictionary: u32| {
        let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        options.dict_size(dictionary);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let stream =
            liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64).unwrap();
        let mut out = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        out.write_all(&text).unwrap();
        Cursor::new(out.finish().unwrap())
    };
    let zstd = |window: u32| {
        let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        out.window_log(window).unwrap();
        out.long_distance_matching(true).unwrap();
        out.write_all(&text).unwrap();
        Cursor::new(out.finish().unwrap())
    };
    assert_eq!(read(xz(64 << 20), SMALL).0.len(), 1000);
    assert_eq!(read(zstd(27), SMALL).0.len(), 1000);
    for (bytes, codec, program) in [
        (xz(512 << 20), "xz", "xz -dc in > in.unpacked"),
        (zstd(28), "zstd", "zstd -dc --long=31 in > in.unpacked"),
    ] {
        let (records, error) = read(bytes, SMALL);
        let error = error.unwrap();
        let message = error.to_string();
        assert!(
            records.is_empty() && message.contains(&format!("the {codec} data take more than 256 MB")),
            "{message}"
        );
        assert!(error.hint().unwrap().contains(program), "{error:?}");
    }
}
