//! What each command prints and returns: `TRYCMD=overwrite cargo test -p virpack-cli --test cli` writes the
//! snapshots anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use support::{MODEL, PROTEINS, Place};

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

/// What `virpack embed - ARGUMENTS` says: its input ends when it has said `awaited`.
fn said_until(place: &Place, arguments: &[&str], awaited: &str) -> String {
    let fixed = ["embed", "-", "-m", MODEL, "--device", "cpu", "--log-interval", "1"];
    let mut command = place.command(&[&fixed, arguments].concat());
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&[b">empty\n\n", &std::fs::read(PROTEINS).unwrap()[..]].concat()).unwrap();
    let (mut stderr, mut said) = (BufReader::new(child.stderr.take().unwrap()), String::new());
    while !said.contains(awaited) {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended without {awaited}: {said}");
    }
    drop(input);
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said
}

#[test]
fn where_stderr_is_no_terminal_a_line_comes_now_and_then() {
    let place = Place::new();
    let said = said_until(&place, &["-o", "out/emb.npy"], " gone, ");
    let line = said.lines().find(|line| line.contains(" gone, ")).unwrap();
    assert!(line.starts_with("00:00:0") && line.contains(" records/s"), "{line}");
    assert!(!said.contains('\r') && !said.contains('\u{1b}'), "{said}");
    let said = place.embed(&[PROTEINS, "-o", "out/quiet.npy", "--log-interval", "1", "--quiet"]);
    assert_eq!((said.code, &*said.stderr), (Some(0), ""));
}

#[test]
fn as_json_every_line_is_an_object() {
    let place = Place::new();
    let said = said_until(&place, &["-o", "out/emb.h5", "--log-format", "json"], "\"progress\"");
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert!(events.iter().all(|event| event["time"].as_f64().unwrap() > 1e9), "{said}");
    assert!(of("info")[0]["message"].as_str().unwrap().starts_with("on CPU, "), "{said}");
    assert!(of("progress")[0]["seconds"].as_f64().unwrap() >= 0.9, "{said}");
    assert_eq!(of("progress")[0]["done"], Value::Null, "nobody knows how long a pipe is");
    assert!(of("warning")[0]["message"].as_str().unwrap().starts_with("1 record skipped"), "{said}");

    // The summary says what `run.json` does.
    let summary = events.last().unwrap();
    let report: Value = serde_json::from_str(&place.read("out/emb.h5.run.json")).unwrap();
    for (key, value) in report.as_object().unwrap().iter().filter(|(key, _)| *key != "metadata") {
        assert_eq!(summary[key], *value, "{key}");
    }
    assert_eq!(report["counts"]["records"], 5);
    assert_eq!((&report["counts"]["rows"], &report["counts"]["skipped"]), (&4.into(), &1.into()));
    assert_eq!(report["inputs"][0]["path"], "<stdin>");
    assert_eq!(report["inputs"][0]["bytes"], std::fs::metadata(PROTEINS).unwrap().len() + 8);
    assert_eq!(report["model"]["sha256"], report["metadata"]["virpack.model_sha256"]);
    assert_eq!(report["model"]["files"][0]["sha256"], report["model"]["sha256"]);
    assert_eq!(report["devices"][0]["tokens"], report["counts"]["tokens"]);
    assert_eq!(report["options"]["pool"], "mean");
    let efficiency = report["packing"]["efficiency"].as_f64().unwrap();
    assert_eq!(report["devices"][0]["packing_efficiency"].as_f64().unwrap(), efficiency);
    assert!(efficiency > 0.1 && report["seconds"]["loading"].as_f64().unwrap() > 0.0);
}

#[test]
fn as_json_an_error_is_an_object_too() {
    let place = Place::new();
    let ran = place.embed(&["none.fa", "-o", "out/emb.h5", "--log-format", "json"]);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!((ran.code, &error["event"], &error["exit_code"]), (Some(1), &"error".into(), &1.into()));
    assert!(error["message"].as_str().unwrap().contains("none.fa"), "{error}");
    assert!(!error["hint"].as_str().unwrap().is_empty() && ran.stdout.is_empty(), "{error}");
}
