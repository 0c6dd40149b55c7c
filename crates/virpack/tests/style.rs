//! `.ci/style` finds what docs/style.md forbids in the lines that a change adds, and nothing in other lines.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PAGES: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "rustfmt.toml"];

/// A phrase of the list, not written out: the check reads this file too.
const PHRASE: &str = concat!("No", "body");

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    let identity = [("GIT_AUTHOR", "a"), ("GIT_COMMITTER", "a")];
    let identity = identity.map(|(of, name)| [(format!("{of}_NAME"), name), (format!("{of}_EMAIL"), name)]);
    Command::new(program).args(arguments).current_dir(folder).envs(identity.concat()).output().unwrap()
}

/// What `.ci/style` prints of a change that adds `line` to a Rust file of one line, and whether it passes.
fn checked(line: &str) -> (bool, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let copy = tempfile::tempdir().unwrap();
    let copy = copy.path();
    fs::create_dir_all(copy.join(".ci")).unwrap();
    fs::create_dir_all(copy.join("docs")).unwrap();
    for file in PAGES.into_iter().chain([".ci/style", "docs/style.md"]) {
        fs::copy(root.join(file), copy.join(file)).unwrap();
    }
    let old = format!("// {PHRASE} looks at {}\n", "old lines ".repeat(12));
    fs::write(copy.join("a.rs"), &old).unwrap();
    for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "base"]] {
        assert!(run(copy, "git", arguments).status.success(), "git {arguments:?}");
    }
    fs::write(copy.join("a.rs"), format!("{old}{line}\n")).unwrap();
    let output = run(copy, ".ci/style", &["HEAD"]);
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn added_lines_that_are_too_wide_or_hold_a_phrase_are_named() {
    if Command::new("git").arg("--version").output().is_err() {
        return println!("SKIPPED: no git");
    }
    // 110 characters, some of them of two bytes.
    for line in [
        format!("// {}é", "é ".repeat(53)),
        format!("/// <https://example.org/{}>", "a".repeat(120)),
        format!("//! | a row | {} |", "of a table ".repeat(12)),
    ] {
        assert_eq!(checked(&line), (true, String::new()), "{line}");
    }
    for (line, says) in [
        (format!("// {}é", "é ".repeat(54)), "a.rs:2: 112 columns; rustfmt.toml allows 110"),
        (format!("let s = \"{}\";", "a".repeat(100)), "a.rs:2: 111 columns"),
        (
            format!("// {PHRASE} adds this."),
            concat!("a.rs:2: \"no", "body\" is on the list of docs/style.md"),
        ),
    ] {
        let (passes, said) = checked(&line);
        assert!(!passes && said.starts_with(says), "{line}: {said}");
    }
}
