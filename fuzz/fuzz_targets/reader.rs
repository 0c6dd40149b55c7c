//! Any bytes as an input file, plain or compressed: the reader never panics; numbers increase without a gap
//! and lines are ascending; sequences hold no blanks; nothing follows an error; and the same bytes in small
//! pieces, as from a pipe, give the same records and an error of the same kind. (Damaged compressed data
//! may end sooner: a decoder keeps what it made in the call that fails.)

#![no_main]

use std::io::{Cursor, Read};

use libfuzzer_sys::fuzz_target;
use virpack_seq::reader::Remark;
use virpack_seq::{Record, Records};

fuzz_target!(|data: &[u8]| {
    let whole = read(Cursor::new(data.to_vec()));
    let pieces = read(Pieces(Cursor::new(data.to_vec()), 0));
    let damaged = |error: &Option<String>| error.as_deref() == Some("Damaged");
    if damaged(&whole.1) || damaged(&pieces.1) {
        let common = whole.0.len().min(pieces.0.len());
        assert_eq!(whole.0[..common], pieces.0[..common]);
    } else {
        assert_eq!(whole.0, pieces.0, "records do not depend on how the bytes come");
        assert_eq!(whole.1, pieces.1, "nor does the error");
    }
});

fn read(reader: impl Read + Send + 'static) -> (Vec<Record>, Option<String>) {
    let mut records = match Records::from_reader("fuzz", reader) {
        Ok(records) => records,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let (mut all, mut record, mut line) = (Vec::new(), Record::default(), 0);
    loop {
        match records.read(&mut record) {
            Ok(true) => {
                assert_eq!(record.index, all.len() as u64);
                assert!(record.line > line, "lines rise");
                // Letters, and the names of special tokens.
                assert!(record.sequence.iter().all(|b| b.is_ascii_alphabetic() || b"*-.<>_1".contains(b)));
                assert!(!record.id.contains([' ', '\t', '\n']));
                line = record.line;
                all.push(record.clone());
            }
            Ok(false) => {
                let empty = records.remarks().iter().filter(|said| said.remark == Remark::Empty).count();
                assert_eq!(empty, usize::from(all.is_empty()));
                return (all, None);
            }
            Err(error) => {
                assert!(matches!(records.read(&mut record), Ok(false)), "an error is the last thing");
                // The text of the message is left out: a decoder's message may depend on the pieces.
                let kind = format!("{error:?}");
                return (all, Some(kind.split([' ', '{']).next().unwrap_or_default().to_owned()));
            }
        }
    }
}

/// Returns one to seven bytes at a time.
struct Pieces(Cursor<Vec<u8>>, usize);

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 7 + 1;
        let most = self.1.min(buf.len());
        self.0.read(&mut buf[..most])
    }
}
