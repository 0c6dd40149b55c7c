//! What a killed run leaves beside a complete output, and what a run leaves that loses its name.

use std::process::Stdio;
use std::time::Duration;

use super::{arguments, outputs, proteins, run_line, said_command, undisturbed};
use crate::support::{MODEL, Place, Ran};

/// The state after a run is killed with its output complete, between the manifest and the last part.
#[test]
fn parts_behind_a_complete_output_are_removed() {
    let place = Place::new();
    place.write("input.fa", proteins(30));
    let plain = arguments(MODEL, "out/emb.npy");
    place.run(&plain).succeeds(&[]);
    let files = place.outputs();
    let resumed = [&plain[..], &["--resume"]].concat();
    for arguments in [&plain, &resumed] {
        place.write("out/emb.npy.partial/lock", "123").write("out/emb.npy.partial/000001.part", "rows");
        place.write("out/emb.npy.partial/.manifest.json.tmp-123", "{");
        let ran = place.run(arguments);
        assert_eq!(ran.code, Some(if *arguments == resumed { 0 } else { 1 }), "{ran:#?}");
        assert_eq!(place.outputs(), files);
    }
    // A run that was killed before its first part: its lock leads the next run to what it has begun beside
    // the output.
    place.write("out/emb.npy.partial/lock", "123").write("out/.emb.npy.tmp-123", "rows");
    place.run(&plain).is_refused(&["out/emb.npy exists"]);
    assert_eq!(place.read("out/emb.npy.partial/lock"), "123");
    place.run(&[&plain[..], &["--force"]].concat()).succeeds(&[]);
    assert_eq!(place.outputs(), files);
    // Files other than parts stay, and so does the folder.
    place.write("out/emb.npy.partial/lock", "123").write("out/emb.npy.partial/notes.txt", "mine");
    place.run(&resumed).succeeds(&["complete already"]);
    assert_eq!(place.read("out/emb.npy.partial/notes.txt"), "mine");
}

/// Another program takes the output's name: no part is closed yet, and all finished work is in the open
/// one.
#[test]
fn an_output_name_taken_during_the_run_loses_nothing() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    let whole = undisturbed(&place, MODEL, "out/emb.npy");
    let mut arguments = arguments(MODEL, "out/emb.npy");
    let number = arguments.iter().position(|word| *word == "--checkpoint-records").unwrap() + 1;
    arguments[number] = "1000000";
    let mut child = place.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    // A run that has begun the output has passed its first checks.
    let begun = place.path(&format!("out/.emb.npy.tmp-{}", child.id()));
    while !begun.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it is over");
        std::thread::sleep(Duration::from_millis(1));
    }
    place.write("out/emb.npy", "taken");
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.stops(&["out/emb.npy exists"]);
    assert_eq!(
        (place.read("out/emb.npy").as_str(), place.outputs().len()),
        ("taken", 2),
        "{:?}",
        place.outputs()
    );
    std::fs::remove_file(place.path("out/emb.npy")).unwrap();
    let ran = run_line(&place, &said_command(&ran));
    ran.succeeds(&["17,778 finished before"]);
    assert_eq!(outputs(&place.path("out")), whole);
}
