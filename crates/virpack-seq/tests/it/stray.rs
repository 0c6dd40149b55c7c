//! Bytes that belong to no sequence: their place, their message, and that no row is made of them.

use std::io::Cursor;

use proptest::prelude::*;
use virpack_seq::reader::{Remark, Suspect};
use virpack_seq::{Hint, InputError, Record, Records, SeqError};

/// Returns the id and letters of every record, the remarks, and the error that ended them.
type Read = (Vec<(String, String)>, Vec<Remark>, Option<SeqError>);

fn read(bytes: &[u8]) -> Read {
    read_from(Cursor::new(bytes.to_vec()))
}

/// Returns one to seven bytes at a time.
struct Pieces(Cursor<Vec<u8>>, usize);

impl std::io::Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 7 + 1;
        let most = self.1.min(buf.len());
        self.0.read(&mut buf[..most])
    }
}

fn read_from(reader: impl std::io::Read + Send + 'static) -> Read {
    let mut records = Records::from_reader("in.fa", reader).unwrap();
    let (mut all, mut record) = (Vec::new(), Record::default());
    let error = loop {
        match records.read(&mut record) {
            Ok(true) => {
                let letters = String::from_utf8(record.sequence.clone()).unwrap();
                all.push((record.id.to_string(), letters));
            }
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    (all, records.remarks().into_iter().map(|remark| remark.remark).collect(), error)
}

/// Each text, its invalid line, the byte and the suspect.
const STRAY: &[(&[u8], u64, u8, Suspect)] = &[
    (b">a\nMKT>b\nMKV\n", 2, b'>', Suspect::GluedHeader),
    (b">a\nMKT\nLLV>b x\nMKV\n", 3, b'>', Suspect::GluedHeader),
    (b">a\nMKT\n >b\nMKV\n", 3, b'>', Suspect::IndentedHeader),
    (b">a\nMKT\n\t>b\nMKV\n", 3, b'>', Suspect::IndentedHeader),
    (b">a\nACGT\n@r1\nACGT\n+\nIIII\n", 3, b'@', Suspect::Fastq),
    (b">a\nACGT@r1\nACGT\n+\nIIII\n", 2, b'@', Suspect::Fastq),
    (b">a\nACGT\n+\nIIII\n", 3, b'+', Suspect::Fastq),
    (b">a\n        1 acgtacgt\n       61 acgt\n", 2, b'1', Suspect::LineNumber),
    (b">a\nACGTACGT 8\nACGT 12\n", 2, b'8', Suspect::LineNumber),
    (b">a\nMKT ; a comment\nLLV\n", 2, b';', Suspect::Comment),
    (b">a\nMKT\n#=GC SS_cons\n", 3, b'#', Suspect::Comment),
    (b">a\nMKT\n//\n", 3, b'/', Suspect::EndOfEntry),
    (b">a\nMKT\n</pre>\n", 3, b'<', Suspect::Markup),
    (b">a\nMK&gt;T\n", 2, b'&', Suspect::Markup),
    (b">a\n<<<<<<< HEAD\nMKT\n=======\nMKV\n>>>>>>> theirs\n", 2, b'<', Suspect::Conflict),
    (b">a\nMKT\n=======\nMKV\n", 3, b'=', Suspect::Conflict),
    (b">a\nMKT\n\xEF\xBB\xBF>b\nMKV\n", 3, 0xEF, Suspect::ByteOrderMark),
    (b">a\nMKT\n\x1A>b\nMKV\n", 3, 0x1A, Suspect::EndMark),
    (b">a\nMKT\n\x1A\n>b\nMKV\n", 3, 0x1A, Suspect::EndMark),
    (b">a\nMK\x08T\n", 2, 8, Suspect::Control),
    (b">a\nMK\x7FT\n", 2, 0x7F, Suspect::Control),
    (b">a\nMK\x0CT\n", 2, 0x0C, Suspect::Control),
    (b">a\nMK\x1B[0mT\n", 2, 0x1B, Suspect::Control),
    (b">a\nMK\xC2\xA0T\n", 2, 0xC2, Suspect::NotAscii),
    (b">a\n\xD0\x90CGT\n", 2, 0xD0, Suspect::NotAscii),
    (b">a\nMKT\n\xE2\x80\x8B\n", 3, 0xE2, Suspect::NotAscii),
    (b">a\nAC~~GT\n", 2, b'~', Suspect::Missing),
    (b">a\nAC??GT\n", 2, b'?', Suspect::Missing),
    (b">a\nMKT,12\n", 2, b',', Suspect::Table),
    (b">a\n\"MKT\"\n", 2, b'"', Suspect::Table),
    (b">a\nMK(ph)T\n", 2, b'(', Suspect::Unknown),
    (b">a\nMKT[MASK]LLV\n", 2, b'[', Suspect::Unknown),
    (b">a\nMK<mask\n", 2, b'<', Suspect::Markup),
    (b">a\nMK$\n", 2, b'$', Suspect::Unknown),
    (b"@a\nAC GT\n+\nIIIII\n", 2, b' ', Suspect::Blank),
    (b"@a\nAC\rGT\n+\nIIIII\n", 2, b'\r', Suspect::Blank),
    (b"@a\nAC1T\n+\nIIII\n", 2, b'1', Suspect::LineNumber),
    (b"@a\nACGT+\nIIII\n@b\nAC\n+\nII\n", 2, b'+', Suspect::Fastq),
];

#[test]
fn a_stray_byte_is_named_with_its_line() {
    for &(text, line, byte, suspect) in STRAY {
        let shown = String::from_utf8_lossy(text);
        let (rows, _, error) = read(text);
        assert!(rows.is_empty(), "{shown}: {rows:?}");
        match error {
            Some(SeqError::Input(InputError::StrayByte {
                line: l,
                record: 1,
                id,
                byte: b,
                suspect: s,
                ..
            })) => {
                assert_eq!((l, b, s, &*id), (line, byte, suspect, "a"), "{shown}");
            }
            other => panic!("{shown}: {other:?}"),
        }
    }
}

#[test]
fn the_message_names_file_line_record_byte_and_remedy() {
    let error = read(b">x\nMK\n>a long\nMKT>b\nMKV\n").2.unwrap();
    assert_eq!(
        error.to_string(),
        "in.fa:4: record 2 (a): `>` is not a letter of a sequence: a header whose line before has no end"
    );
    assert_eq!(
        error.hint().unwrap(),
        "end the line before the header; `awk 1 FILE...` joins files line by line"
    );
    let message = read(b">a\nMK\xC2\xA0T\n").2.unwrap().to_string();
    assert!(
        message.starts_with("in.fa:2: record 1 (a): the byte 0xC2 is not a letter of a sequence: "),
        "{message}"
    );
}

#[test]
fn formats_that_meet_in_one_file_are_reported() {
    let (rows, _, error) = read(b"@r\nAC\n+\nII\n>a\nACGT\n");
    assert_eq!(rows.len(), 1);
    assert!(
        matches!(
            error,
            Some(SeqError::Input(InputError::FastqLine {
                line: 5,
                record: 2,
                expected: '@',
                found: Some(b'>'),
                ..
            }))
        ),
        "{error:?}"
    );
    let error = error.unwrap();
    assert!(error.to_string().contains("begins with `>`"), "{error}");
    assert!(error.hint().unwrap().contains("FASTA and FASTQ"), "{error:?}");
    // Without a line end between them, there are too many qualities.
    let (rows, _, error) = read(b"@r\nAC\n+\nII>a\nACGT\n");
    assert!(
        rows.is_empty() && matches!(error, Some(SeqError::Input(InputError::QualityLength { line: 1, .. }))),
        "{error:?}"
    );
    let (rows, _, error) = read(b"@r\nAC\n+\nII\n\xEF\xBB\xBF@s\nAC\n+\nII\n");
    assert_eq!(rows.len(), 1);
    assert!(error.unwrap().hint().unwrap().contains("byte order mark"));
}

#[test]
fn what_is_harmless_is_read_and_listed() {
    let row = |id: &str, letters: &str| (id.to_owned(), letters.to_owned());
    let ab = vec![row("a", "MKTLLV"), row("b", "MKV")];
    let comments = |line, lines| vec![Remark::Comments { line, lines }];
    for (text, remarks) in [
        (&b">a\nMKT\n;one\nLLV\n>b\n; two\nMKV\n"[..], comments(3, 2)),
        (b"; made by hand\n\n;2\n>a\nMKTLLV\n>b\nMKV\n;", comments(1, 3)),
        (b">a\nMKT\r\nLLV\r\n>b\r\nMKV\r\n\x1A", vec![Remark::EndMark { line: 6 }]),
        (b">a\nMKTLLV\n>b\nMKV\x1A\n\n", vec![Remark::EndMark { line: 4 }]),
        (b"@a\nMKTLLV\n+\nIIIIII\n@b\nMKV\n+\nIII\n\x1A\n", vec![Remark::EndMark { line: 9 }]),
        (b"@a\nMKTLLV\n+\nIIIIII\n@b\nMKV\n+\nIII\x1A", vec![Remark::EndMark { line: 8 }]),
        // These are unusual but valid.
        (b">a\nM K\tT \n\n L L V\n>b\nMKV", vec![]),
        (b"\n\xEF\xBB\xBF"[1..].as_ref(), vec![Remark::Empty]),
        (b"\x1A", vec![Remark::EndMark { line: 1 }, Remark::Empty]),
        (b";\n", vec![Remark::Comments { line: 1, lines: 1 }, Remark::Empty]),
    ] {
        let shown = String::from_utf8_lossy(text).into_owned();
        let (rows, said, error) = read(text);
        assert!(error.is_none(), "{shown}: {error:?}");
        let expected = if said.contains(&Remark::Empty) { vec![] } else { ab.clone() };
        assert_eq!((rows, said), (expected, remarks), "{shown}");
    }
    let masked = b">a b>c <mask>\nM<mask>K<cls>\nmkt*\n-.X\n";
    assert_eq!(read(masked).0, [row("a", "M<mask>K<cls>mkt*-.X")]);
}

/// Reads a FASTA text by the rules, line by line, in the simplest way: rows, or the invalid line.
///
/// Lines end with LF or CRLF. A line that begins with `>` is a header, one that begins with `;` is a
/// comment. All others hold letters, `*`, `-`, `.` and blanks. Blanks, blank lines and comments may precede
/// the first header. `None`: the rules do not decide (bytes of other formats at the beginning; carriage
/// returns and NUL in headers, which may end a run).
fn oracle(bytes: &[u8]) -> Option<Result<Vec<(String, String)>, u64>> {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match text.trim_ascii_end() {
        [whole @ .., 0x1A] => whole,
        _ => text,
    };
    let mut rows: Vec<(String, String)> = Vec::new();
    for (number, line) in (1..).zip(text.split(|&b| b == b'\n')) {
        let trimmed = line.trim_ascii();
        // The first header may be indented.
        match if rows.is_empty() { line.trim_ascii_start() } else { line } {
            [b'>', header @ ..] => {
                let header = header.trim_ascii();
                if header.iter().any(|b| matches!(b, b'\r' | 0)) {
                    return None;
                }
                let id = header.split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
                let escaped = |bytes: &[u8]| bytes.iter().map(|b| format!("\\x{b:02x}")).collect::<String>();
                let parts = id.utf8_chunks().map(|part| part.valid().to_owned() + &escaped(part.invalid()));
                rows.push((parts.collect(), String::new()));
            }
            [b';', ..] => {}
            _ if rows.is_empty() && trimmed.is_empty() => {}
            _ if rows.is_empty() => return None,
            _ => {
                for &byte in line.iter().filter(|b| !matches!(b, b' ' | b'\t' | b'\r')) {
                    if !byte.is_ascii_alphabetic() && !b"*-.".contains(&byte) {
                        return if byte == 0 { None } else { Some(Err(number)) };
                    }
                    rows.last_mut().unwrap().1.push(char::from(byte));
                }
            }
        }
    }
    Some(Ok(rows))
}

fn fasta() -> impl Strategy<Value = Vec<u8>> {
    let line = "[ACDEFGHIKLMNPQRSTVWYacgtn]{1,12}[*.-]?";
    let record = ("[A-Za-z0-9|_.]{0,6}( [a-z >0-9]{0,8})?", proptest::collection::vec(line, 0..4));
    let end = prop_oneof![Just("\n"), Just("\r\n")];
    (proptest::collection::vec(record, 1..5), end, any::<bool>()).prop_map(|(records, end, last)| {
        let mut text = String::new();
        for (header, lines) in records {
            text += &format!(">{header}{end}");
            for line in lines {
                text += &format!("{line}{end}");
            }
        }
        if !last {
            text.truncate(text.len() - end.len());
        }
        text.into_bytes()
    })
}

/// FASTQ with its rows; sequences and qualities take one line or several, of different lengths.
fn fastq() -> impl Strategy<Value = (Vec<u8>, Vec<(String, String)>)> {
    let record = ("[a-z0-9]{1,6}", "[ACGTN]{0,20}", 1..21usize, 1..21usize, "[!-~]{20}");
    proptest::collection::vec(record, 1..5).prop_map(|records| {
        let (mut text, mut rows) = (String::new(), Vec::new());
        for (id, letters, width, other, qualities) in records {
            // The qualities of a sequence in one line are in one line.
            let other = if letters.len() <= width { 20 } else { other };
            let wrapped = |text: &str, width: usize| {
                let lines = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap());
                lines.chain(text.is_empty().then_some("")).map(|line| format!("{line}\n")).collect::<String>()
            };
            let qualities = &qualities[..letters.len()];
            text += &format!("@{id}\n{}+\n{}", wrapped(&letters, width), wrapped(qualities, other));
            rows.push((id, letters));
        }
        (text.into_bytes(), rows)
    })
}

/// A byte that is replaced, inserted or deleted; bytes with a meaning are more frequent.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![any::<u8>(), proptest::sample::select(&b">@;+ \t\r\n*-.<\x1A\0\xEF0123456789"[..])];
    let text = prop_oneof![4 => fasta(), 1 => fastq().prop_map(|(text, _)| text)];
    (text, any::<proptest::sample::Index>(), byte, 0..3u8).prop_map(|(mut text, place, byte, what)| {
        match what {
            0 => {
                let place = place.index(text.len());
                text[place] = byte;
            }
            1 => text.insert(place.index(text.len() + 1), byte),
            _ => {
                text.remove(place.index(text.len()));
            }
        }
        text
    })
}

/// Cases of the property below; `VIRPACK_CASES` sets more.
fn cases() -> u32 {
    std::env::var("VIRPACK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(10_000)
}

proptest! {
    #[test]
    fn fastq_is_read_however_it_is_wrapped((text, rows) in fastq()) {
        let (read, remarks, error) = read(&text);
        prop_assert!(error.is_none() && remarks.is_empty(), "{:?}", error);
        prop_assert_eq!(read, rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Either the rows are right, or the run ends with the invalid line.
    #[test]
    fn one_damaged_byte_makes_no_wrong_row(text in damaged()) {
        let (rows, _, error) = read(&text);
        // Nothing depends on the pieces that a pipe returns.
        let pieces = read_from(Pieces(Cursor::new(text.clone()), 0));
        prop_assert_eq!(&rows, &pieces.0);
        prop_assert_eq!(error.as_ref().map(ToString::to_string), pieces.2.map(|error| error.to_string()));
        if text.trim_ascii_start().starts_with(b"@") {
            // FASTQ has no simple rules for damage; a row has the letters of lines in the input.
            return Ok(());
        }
        match (oracle(&text), error) {
            (Some(Ok(right)), None) => prop_assert_eq!(rows, right),
            (Some(Err(line)), Some(SeqError::Input(InputError::StrayByte { line: said, .. }))) => prop_assert_eq!(said, line),
            // Not FASTA any more, or a header whose carriage returns may hide lines.
            (None, Some(_)) => {}
            (None, None) => {
                // A carriage return within a header that hides nothing.
                prop_assert!(text.contains(&b'\r'));
            }
            (oracle, error) => prop_assert!(false, "{:?}: {:?}", oracle, error),
        }
    }
}
