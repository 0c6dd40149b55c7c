//! Any bytes as headers: a record of FASTA that is read, written and read again is the same record; in a
//! text table its id and description are two cells of one line, and are unchanged unless they have a
//! control character.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use virpack_core::fuzzing::row;
use virpack_seq::{Record, Records};

fuzz_target!(|data: &[u8]| {
    for record in read([b">", data, b"\nMK\n"].concat()) {
        let cells = [record.id.to_string(), record.description.clone()];
        let line = row(&cells);
        let breaks = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
        assert!(!line.contains(|letter| letter != '\t' && breaks(letter)), "{line:?}");
        let found = split(&line);
        assert_eq!(found.len(), 2, "{line:?}");
        for (cell, found) in cells.iter().zip(found) {
            assert_eq!(cell.contains(breaks), *cell != found, "{cell:?} {found:?}");
        }
        let text = format!(">{} {}\n", record.id, record.description);
        // Another record follows: a Ctrl-Z at the end of a file does not belong to its last record.
        let again = read([text.as_bytes(), &record.sequence, b"\n>end\n"].concat());
        assert_eq!(again.len(), 2, "{text:?}");
        assert_eq!((&again[0].id, &again[0].description), (&record.id, &record.description));
        assert_eq!(again[0].sequence, record.sequence);
    }
});

/// The records before the first error.
fn read(text: Vec<u8>) -> Vec<Record> {
    let Ok(mut records) = Records::from_reader("fuzz", Cursor::new(text)) else { return Vec::new() };
    let (mut all, mut record) = (Vec::new(), Record::default());
    while let Ok(true) = records.read(&mut record) {
        all.push(record.clone());
    }
    all
}

/// Returns the cells of a line, as Python's `csv` reads them with TABs.
fn split(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut letters) = (Vec::new(), String::new(), line.chars().peekable());
    let (mut quoted, mut begins) = (false, true);
    while let Some(letter) = letters.next() {
        match letter {
            '"' if begins => quoted = true,
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' if quoted => quoted = false,
            '\t' if !quoted => {
                cells.push(std::mem::take(&mut cell));
                begins = true;
                continue;
            }
            letter => cell.push(letter),
        }
        begins = false;
    }
    cells.push(cell);
    cells
}
