//! Ids and names that control terminals or end lines: they are escaped in messages, tables, FASTA and
//! plots.

use std::path::Path;

use crate::support::{Place, Ran};

/// Headers with characters that end a line for Python's text mode or `str.splitlines`, control a terminal,
/// or change the order of letters.
const HEADERS: [&str; 5] = [
    "cr\rid ACGT\rforged",
    "ff\u{b}\u{c}id a\u{1c}b\u{1d}c\u{1e}>d",
    "nel\u{85}>id a\u{2028}>b\u{2029}>c",
    "esc\u{1b}[2J\u{9b}31m\u{7f}",
    "bidi\u{202e}\u{2066}id \u{202a}\u{2069}",
];

/// Returns FASTA with 700 bases after each header.
fn input() -> String {
    let mut state = 7_u32;
    let mut base = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b"ACGT"[(state >> 30) as usize])
    };
    HEADERS
        .iter()
        .map(|header| format!(">{header}\n{}\n", (0..700).map(|_| base()).collect::<String>()))
        .collect()
}

/// Returns the lines of a text as Python's `str.splitlines` does.
fn lines(text: &str) -> Vec<&str> {
    text.trim_end_matches('\n')
        .split(['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'])
        .collect()
}

#[track_caller]
fn is_plain(text: &str) {
    let odd = |c: &char| {
        (c.is_control() && !"\n\t".contains(*c))
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert_eq!(text.chars().find(odd), None, "{text:?}");
}

#[test]
fn headers_are_one_line_in_every_output() {
    let place = Place::new();
    place.write("in.fa", input());
    let predict = ["predict", "in.fa", "-o", "out", "--min-score", "0", "--length", "300", "--plot"];
    let ran = place.run(&predict);
    ran.succeeds(&[]);
    is_plain(&ran.stderr);
    place.run(&["frames", "in.fa", "-o", "out/x", "--length", "90"]).succeeds(&[]);
    let viral = place.read("out/viral.fna");
    let starts = |text: &str| lines(text).iter().filter(|line| line.starts_with('>')).count();
    assert_eq!((starts(&viral), lines(&viral).len()), (HEADERS.len(), 2 * HEADERS.len()));
    assert!(viral.starts_with(">cr\\rid ACGT\\rforged\n"), "{viral}");
    assert!(viral.contains("\n>esc\\x1b[2J\\x9b31m\\x7f\n"), "{viral}");
    let mut read = 0;
    for name in place.outputs() {
        let path = place.path(&format!("out/{name}"));
        if path.is_dir() {
            for picture in std::fs::read_dir(path).unwrap() {
                is_plain(&std::fs::read_to_string(picture.unwrap().path()).unwrap());
                read += 1;
            }
            continue;
        }
        let text = place.read(&format!("out/{name}"));
        is_plain(&text);
        assert!(text.is_empty() || lines(&text).len() == text.lines().count(), "{name}");
        if name.starts_with("x_") {
            assert_eq!(2 * starts(&text), lines(&text).len(), "{name}");
            assert!(text.starts_with(">cr\\rid_chunk_1"), "{text}");
        }
        read += 1;
    }
    assert!(read >= 10 + HEADERS.len(), "{read} files: {:?}", place.outputs());
    // One rule: a record has the same name in a table and in FASTA.
    let table = place.read("out/sequences.tsv");
    let ids: Vec<&str> = table.lines().skip(1).map(|line| line.split('\t').next().unwrap()).collect();
    let names: Vec<&str> =
        viral.lines().step_by(2).map(|line| line[1..].split(' ').next().unwrap()).collect();
    assert_eq!(ids, names);
}

#[cfg(unix)]
#[test]
fn messages_steer_no_terminal_and_forge_no_line() {
    let place = Place::new();
    let name = "in\u{1b}]0;title\u{7}\u{202e}\nhint: run this.fa";
    place.write(name, ">esc\u{1b}[2J\nMK1V\n");
    let message = |ran: &Ran| {
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        is_plain(&ran.stderr);
        assert!(ran.stderr.contains("in\\x1b]0;title\\x07\\u202e\\nhint: run this.fa"), "{ran:#?}");
        assert!(!ran.stderr.lines().any(|line| line.starts_with("hint: run this")), "{ran:#?}");
    };
    let ran = place.embed(&[name, "-o", "out/emb.npy"]);
    message(&ran);
    assert!(ran.stderr.contains("esc\\x1b[2J"), "{ran:#?}");
    message(&place.embed(&[&format!("missing-{name}"), "-o", "out/emb.npy"]));
    message(&place.run(&["embed", PROTEINS_OF_TWO, "-o", &format!("out/{name}.npy")]));
    // JSON has the letters themselves, as JSON escapes.
    let ran = place.embed(&[name, "-o", "out/emb.npy", "--log-format", "json"]);
    is_plain(&ran.stderr);
    assert!(Path::new(&place.path("out")).read_dir().unwrap().next().is_none(), "{:?}", place.outputs());
}

/// A file that does not exist.
const PROTEINS_OF_TWO: &str = "in\u{1b}]0;title\u{7}\u{202e}\nhint: run this.fa\u{1b}";
