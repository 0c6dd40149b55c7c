//! The libraries name no option of this program, and keep hints separate from messages:
//! `virpack_core::Hint` returns them, and `src/messages` adds options.

use std::fs;
use std::path::Path;

#[path = "../../../virpack-core/tests/it/support/sources.rs"]
mod sources;

use sources::sources;

const LIBRARIES: [&str; 5] =
    ["virpack-seq", "virpack-device", "virpack-model", "virpack-core", "virpack-store"];

/// Options of other programs, in commands of hints and in the arguments of a compiler.
const OF_OTHERS: [&str; 9] = [
    "samtools fasta FILE > FILE.fasta (with --reference",
    "pod5 convert fast5 FILE --output",
    "fasterq-dump --fasta",
    "unrtf --text",
    "xz --format=lzma",
    "pandoc -t plain --wrap=none",
    "zstd -dc --long=31",
    "--gpu-architecture=",
    "--std=c++17",
];

/// A signal handler ends the process with this text: no error is returned that could have a hint.
const WITHOUT_ERROR: &str = "virpack-device/src/mapped/lost.rs";

#[test]
fn no_string_of_a_library_names_an_option_or_holds_a_hint() {
    let mut found = Vec::new();
    let mut strings = 0;
    for library in LIBRARIES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(library).join("src");
        for path in sources(&folder) {
            let source = fs::read_to_string(&path).unwrap();
            let path = path.display().to_string();
            for string in strings_of(&source) {
                strings += 1;
                if has_option(&string) || (has_hint(&string) && !path.ends_with(WITHOUT_ERROR)) {
                    found.push(format!("{path}: {string:?}"));
                }
            }
        }
    }
    assert!(strings > 1_000, "{strings} strings were read");
    assert!(
        found.is_empty(),
        "hints belong into `Hint`, options into crates/virpack/src/messages:\n{}",
        found.join("\n")
    );
}

#[test]
fn options_and_hints_are_found() {
    let source = r##"
        /// Not here: "--dtype".
        #[error("a 'quoted\" word'; try --dtype f32")] // nor "--here"
        const QUOTE: char = '"';
        fn f<'a>(x: &'a str) { g("too large\n\
             hint: take less", r#"raw "--pool""#, "models--a--b", "zstd -dc --long=31 FILE", b'"', "hint: x"); }
        #[cfg(test)]
        mod tests { const IT: &str = "--force"; }
    "##;
    let strings = strings_of(source);
    assert_eq!(strings.len(), 6, "{strings:?}");
    let options: Vec<_> = strings.iter().map(|string| has_option(string)).collect();
    assert_eq!(options, [true, false, true, false, false, false], "{strings:?}");
    let hints: Vec<_> = strings.iter().map(|string| has_hint(string)).collect();
    assert_eq!(hints, [false, true, false, false, false, true], "{strings:?}");
}

/// Returns whether a string has `--` and a letter at the beginning of a word, outside the commands of other
/// programs.
fn has_option(string: &str) -> bool {
    let own = OF_OTHERS.iter().fold(string.to_owned(), |text, command| text.replace(command, ""));
    own.match_indices("--").any(|(at, _)| {
        let before = own[..at].chars().next_back();
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && c != '-');
        begins && own[at + 2..].starts_with(|c: char| c.is_ascii_lowercase())
    })
}

/// Returns whether a line of a string belongs to a hint.
fn has_hint(string: &str) -> bool {
    string.lines().any(|line| line.starts_with("hint:"))
}

/// Returns the strings of a source before its tests, without comments. Lines joined by `\` are joined, and
/// `\n` is the end of a line.
fn strings_of(source: &str) -> Vec<String> {
    let mut rest = &source[..source.find("mod tests {").unwrap_or(source.len())];
    let mut strings = Vec::new();
    while let Some(at) = rest.find(['"', '/', '\'', 'r']) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at..];
        let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with('"') {
            let end = end_of(rest);
            strings.push(joined(&rest[1..end]));
            rest = &rest[end + 1..];
        } else if rest.starts_with('r')
            && rest[1 + hashes..].starts_with('"')
            && before.is_none_or(|c| c == 'b' || !c.is_alphanumeric() && c != '_')
        {
            let text = &rest[hashes + 2..];
            let end = text.find(&format!("\"{}", "#".repeat(hashes))).unwrap();
            strings.push(text[..end].to_owned());
            rest = &text[end + 1 + hashes..];
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else if rest.starts_with("'\\") {
            // An escaped character, which may be a quote.
            rest = &rest[3..];
        } else {
            rest = &rest[1..];
        }
    }
    strings
}

/// Returns the end of a string that begins `text`: the place of its last quote.
fn end_of(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        is_end
    });
    end.unwrap().0
}

/// Returns a string's content as it is printed, as far as lines matter.
fn joined(content: &str) -> String {
    let mut pieces = content.split("\\\n");
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |text, piece| text + piece.trim_start()).replace("\\n", "\n")
}
