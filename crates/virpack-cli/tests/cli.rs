//! What each command prints and returns: `TRYCMD=overwrite cargo test -p virpack-cli --test cli` writes the
//! snapshots anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use support::Place;

#[test]
fn snapshots() {
    trycmd::TestCases::new().case("tests/cmd/*.toml");
}

#[test]
fn completions_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = place.run(&["completions", shell]);
        ran.succeeds(&[]);
        for word in ["embed", "token-budget", "long-records"] {
            assert!(ran.stdout.contains(word), "{shell}: no {word}");
        }
    }
}
