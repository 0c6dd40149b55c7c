//! Inputs that another program is still writing.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::support::{MODEL, Place, Ran};

/// Runs a command while a file grows.
fn while_it_grows(place: &Place, name: &str, record: &str, arguments: &[&str]) -> Ran {
    place.write(name, record.repeat(20_000));
    let (path, ended) = (place.path(name), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().append(true).open(path).unwrap();
            while !ended.load(Relaxed) {
                file.write_all(record.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let ran = place.run(arguments);
        ended.store(true, Relaxed);
        ran
    })
}

#[test]
fn an_input_that_is_still_written_ends_every_command() {
    let place = Place::new();
    let said = [
        "in.fa: the input changed while virpack read it: its size went from",
        "hint: wait until no program writes to the file, then run again",
    ];
    let protein = ">p\nMKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ\n";
    for arguments in [
        &["embed", "--model", MODEL, "-o", "out/emb.npy", "in.fa"][..],
        &["embed", "--model", MODEL, "-o", "out/emb.npy", "--no-checkpoint", "in.fa"],
        &["pack", "in.fa", "--model", MODEL],
        &["validate", "--model", MODEL, "in.fa"],
    ] {
        let ran = while_it_grows(&place, "in.fa", protein, arguments);
        ran.stops(&said);
        assert!(ran.stdout.is_empty(), "{ran:#?}");
        assert_eq!(place.outputs(), [""; 0], "{arguments:?}");
    }
    let contig = format!(">c\n{}\n", "ATGGCCTTAGGCAACGTACGATGCC".repeat(2));
    for arguments in
        [&["predict", "-o", "out/verdicts", "in.fa"][..], &["frames", "-o", "out/frames", "in.fa"]]
    {
        while_it_grows(&place, "in.fa", &contig, arguments).stops(&said);
        assert_eq!(place.outputs(), [""; 0], "{arguments:?}");
    }
}

#[test]
fn standard_input_and_pipes_are_whatever_comes_out_of_them() {
    let place = Place::new();
    let text = ">p\nMKTAYIAKQR\n".repeat(100);
    place.embed_stdin(&["-o", "out/a.npy", "-"], text.as_bytes()).succeeds(&["100 sequences"]);
}
