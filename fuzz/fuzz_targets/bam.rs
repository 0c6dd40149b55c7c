//! Any bytes after the header of a BAM file, not compressed: the reader never panics; numbers are
//! ascending; sequences hold only letters of the format; nothing follows an error; and the same bytes in
//! small pieces give the same reads and error.

#![no_main]

use std::io::{Cursor, Read};

use libfuzzer_sys::fuzz_target;
use virpack_seq::{Record, Records};

/// A header without text or references.
const HEADER: &[u8] = b"BAM\x01\0\0\0\0\0\0\0\0";

fuzz_target!(|data: &[u8]| {
    let bytes = [HEADER, data].concat();
    let whole = read(Cursor::new(bytes.clone()));
    let pieces = read(Pieces(Cursor::new(bytes)));
    assert_eq!(whole, pieces, "reads do not depend on how the bytes come");
});

fn read(reader: impl Read + Send + 'static) -> (Vec<Record>, Option<String>) {
    let mut records = Records::from_reader("fuzz", reader).expect("nothing is compressed");
    let (mut all, mut record, mut number) = (Vec::<Record>::new(), Record::default(), 0);
    loop {
        match records.read(&mut record) {
            Ok(true) => {
                assert!(record.line > number, "numbers rise");
                assert!(record.sequence.iter().all(|letter| b"ACMGRSVTWYHKDBN".contains(letter)));
                number = record.line;
                all.push(record.clone());
            }
            Ok(false) => return (all, None),
            Err(error) => {
                assert!(matches!(records.read(&mut record), Ok(false)), "an error is the last thing");
                return (all, Some(error.to_string()));
            }
        }
    }
}

/// Returns five bytes at a time.
struct Pieces(Cursor<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let most = buf.len().min(5);
        self.0.read(&mut buf[..most])
    }
}
