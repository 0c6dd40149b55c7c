//! Escapes text from outside for tables, FASTA headers, plots and messages.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// Returns text with every character escaped that ends a line or a cell for some program, controls a
/// terminal, or changes the order in which text is shown: control characters, line and paragraph
/// separators, and directional embeddings, overrides and isolates. All other characters stay, backslashes
/// too.
///
/// ```
/// use virpack_seq::escaped;
/// assert_eq!(escaped("sp|P69905 Ω\\"), "sp|P69905 Ω\\");
/// assert_eq!(escaped("a\tb\r\n"), "a\\tb\\r\\n");
/// assert_eq!(escaped("\u{1b}[31m \u{9b}0m \u{2028} \u{202e}"), "\\x1b[31m \\x9b0m \\u2028 \\u202e");
/// ```
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |letter, out| match letter {
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        letter if u32::from(letter) < 0x100 => _ = write!(out, "\\x{:02x}", u32::from(letter)),
        letter => _ = write!(out, "\\u{:04x}", u32::from(letter)),
    })
}

/// Escapes a message of several lines as [`escaped`] does, but keeps its line ends.
///
/// ```
/// assert_eq!(virpack_seq::escaped_lines("two\nlines\r"), "two\nlines\\r");
/// ```
#[must_use]
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|letter| letter != '\n' && is_odd(letter)) {
        return text.into();
    }
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n").into()
}

/// Escapes the same characters of JSON as JSON escapes, so that a parser returns the original characters.
/// JSON has no such character outside strings.
///
/// ```
/// assert_eq!(virpack_seq::escaped_json("\"a\u{7f}\""), "\"a\\u007f\"");
/// ```
#[must_use]
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    escape(json, |letter, out| _ = write!(out, "\\u{:04x}", u32::from(letter)))
}

/// Returns a path as messages show it.
///
/// ```
/// use std::path::Path;
///
/// assert_eq!(virpack_seq::shown_path(Path::new("reads\n.fa")), "reads\\n.fa");
/// ```
#[must_use]
pub fn shown_path(path: &Path) -> String {
    escaped(&path.to_string_lossy()).into_owned()
}

/// Returns whether a character is escaped.
fn is_odd(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

fn escape(text: &str, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    // Ids, the common case, cost a pass over bytes.
    let is_plain = text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'));
    if is_plain || !text.contains(is_odd) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_odd(letter) { write(letter, &mut out) } else { out.push(letter) }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The characters at which Python's `str.splitlines` ends lines:
    /// https://docs.python.org/3/library/stdtypes.html#str.splitlines
    const LINE_ENDS: &str = "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
    /// The characters that change the order of text (CVE-2021-42574).
    const ORDER: &str = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";

    #[test]
    fn nothing_that_ends_a_line_or_steers_a_terminal_is_left() {
        let controls = (0..=0x9f).filter_map(char::from_u32).filter(|c| c.is_control());
        let all: String = controls.chain(LINE_ENDS.chars()).chain(ORDER.chars()).collect();
        let once = escaped(&all);
        assert!(once.chars().all(|c| (' '..='~').contains(&c)), "{once:?}");
        assert_eq!(escaped(&once), once);
        assert_eq!(escaped_lines(&format!("a\n{all}")).split('\n').count(), 2 + all.matches('\n').count());
    }

    #[test]
    fn other_letters_stay() {
        for text in ["", "gi|1|é Ω 病毒 🦠", "\\x1b \\", "א\u{200f}ב", "a\u{301}"] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        assert_eq!(escaped_json("{\"id\":\"a\u{7f}\u{9b}\u{202e}\"}"), "{\"id\":\"a\\u007f\\u009b\\u202e\"}");
    }

    #[test]
    fn a_path_is_one_line() {
        assert_eq!(shown_path(Path::new("a\nhint: b/\u{1b}c")), "a\\nhint: b/\\x1bc");
    }
}
