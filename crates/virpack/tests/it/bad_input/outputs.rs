//! Outputs that exist, are also inputs, or cannot be written.

use super::TWO;
use crate::support::{MODEL, PROTEINS, Place, Ran};

/// Runs as an unprivileged user if the tests run as root, who ignores permissions; None if that is not
/// possible.
#[cfg(unix)]
pub(super) fn unprivileged(place: &Place, arguments: &[&str]) -> Option<Ran> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let mut command = place.command(&[&["embed", "--model", MODEL], arguments].concat());
    if std::fs::metadata(place.path("out")).unwrap().uid() == 0 {
        std::fs::set_permissions(place.path("."), std::fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(65_534).gid(65_534);
        let mut version = place.command(&["--version"]);
        version.uid(65_534).gid(65_534);
        if !version.output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: root, and nobody cannot run the binary");
            return None;
        }
    }
    Some(Ran::of(command))
}

#[test]
fn an_output_that_exists() {
    let place = Place::new();
    place.write("two.fa", TWO).write("out/emb.npy", "mine");
    let again = ["two.fa", "-o", "out/emb.npy"];
    place.embed(&again).is_refused(&["out/emb.npy exists", "--force"]);
    // Before any request to the network.
    place.run(&["embed", "two.fa", "-o", "out/emb.npy", "-m", "esm2_t48_15B_UR50D"]).is_refused(&["exists"]);
    assert_eq!((place.read("out/emb.npy").as_str(), place.outputs().len()), ("mine", 1));
    place.embed(&[&again[..], &["--force"]].concat()).succeeds(&["2 sequences"]);
    assert_eq!(place.outputs(), ["emb.npy", "emb.npy.records.tsv", "emb.npy.run.json"]);
    // A failed run leaves existing files unchanged.
    let before = std::fs::read(place.path("out/emb.npy")).unwrap();
    place.write("bad.fa", "no fasta");
    place.embed(&["bad.fa", "-o", "out/emb.npy", "--force"]).is_refused(&["bad.fa:1: "]);
    assert_eq!(std::fs::read(place.path("out/emb.npy")).unwrap(), before);
    assert_eq!(place.outputs(), ["emb.npy", "emb.npy.records.tsv", "emb.npy.run.json"]);
    // A table beside it counts as well.
    std::fs::remove_file(place.path("out/emb.npy")).unwrap();
    place.embed(&again).is_refused(&["out/emb.npy.records.tsv exists"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let out = |output: &str| place.embed(&["two.fa", "-o", output]);
    out("nowhere/emb.npy")
        .is_refused(&["cannot write into nowhere: No such file", "hint: make the directory"]);
    out("two.fa/emb.npy").is_refused(&["two.fa", "hint: a part of the path is a file"]);
    out("out").is_refused(&["out", "not a known output format", "hint: use one of .npy, .parquet"]);
    out("out/").is_refused(&["is the name of a directory", "hint: "]);
    out("out/emb.csv")
        .is_refused(&["out/emb.csv: .csv is not a known output format", "hint: use one of .npy, .parquet"]);
    out("out/emb").is_refused(&["a name without an ending", "hint: use one of .npy, .parquet"]);
    out("/dev/stdout").is_refused(&["/dev/stdout is in a file system of devices", "hint: "]);
    out("/dev/null").is_refused(&["/dev/null", "hint: "]);
    assert_eq!(place.outputs(), [""; 0]);
}

/// This is known before anything is computed, even though the system may accept the name itself.
#[cfg(unix)]
#[test]
fn names_that_are_too_long() {
    let place = Place::new();
    place.write("two.fa", TWO).write("in.fa", ">a\nGCC\n");
    for letters in [240, 247, 251, 300] {
        for ending in [".npy", ".safetensors"] {
            let output = format!("out/{}{ending}", "n".repeat(letters - ending.len()));
            let said = [&*format!("error: {output}: the output cannot have this name: "), "hint: shorten it"];
            place.run(&["embed", "two.fa", "-o", &output, "-m", "esm2_t48_15B_UR50D"]).is_refused(&said);
        }
        let prefix = format!("out/{}", "n".repeat(letters));
        place
            .run(&["frames", "in.fa", "-o", &prefix])
            .is_refused(&["cannot have this name", "hint: shorten it"]);
    }
    assert_eq!(place.outputs(), [""; 0]);
    place.embed(&["two.fa", "-o", &format!("out/{}.npy", "n".repeat(196))]).succeeds(&["2 sequences"]);
}

/// Nothing is downloaded before there is known to be room for its output.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_takes_no_files_is_reported_first() {
    let place = Place::new();
    place.write("in.fa", ">a\nGCC\n");
    let classifier = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/predict/300_model.pth");
    let predict = |output: &str, said: &[&str]| {
        let models = ["--protein-model", "someone/model", "--classifier", classifier];
        place.run(&[&["predict", "in.fa", "-o", output], &models[..]].concat()).is_refused(said);
    };
    predict("/proc/x", &["cannot write into /proc/x"]);
    predict("/proc", &["cannot write into /proc"]);
    predict("out/x/y", &["nor in the cache"]);
    assert_eq!(place.outputs(), [""; 0]);
    // Something that prevents a file of its name.
    place.write("out/x.npy.partial", "mine").write("two.fa", TWO);
    place
        .embed(&["two.fa", "-o", "out/x.npy"])
        .is_refused(&["out/x.npy.partial", "hint: something else of that name"]);
}

#[cfg(unix)]
#[test]
fn an_output_directory_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.write("two.fa", TWO);
    std::fs::set_permissions(place.path("out"), std::fs::Permissions::from_mode(0o555)).unwrap();
    if let Some(ran) = unprivileged(&place, &["two.fa", "-o", "out/emb.npy"]) {
        ran.is_refused(&["cannot write into out: Permission denied", "hint: check the permissions"]);
        assert_eq!(place.outputs(), [""; 0]);
    }
}

#[test]
fn pictures_of_unknown_kind() {
    let place = Place::new();
    let ran = place.run(&["pack", PROTEINS, "--plot", "out/plan.jpg"]);
    ran.is_refused(&["cannot draw out/plan.jpg", "hint: end the file's name"]);
    place.run(&["pack", PROTEINS, "--plot", "nowhere/plan.svg"]).is_refused(&["nowhere/plan.svg"]);
    assert_eq!(place.outputs(), [""; 0]);
}

/// A message that cannot be written is not a reason to fail, and does not panic.
#[cfg(target_os = "linux")]
#[test]
fn a_stderr_that_takes_nothing() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let code = |arguments: &[&str]| {
        let mut command = place.command(&[&["embed", "--model", MODEL], arguments].concat());
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        command.stderr(full).status().unwrap().code()
    };
    assert_eq!(code(&["two.fa", "-o", "out/emb.npy"]), Some(0));
    assert_eq!(place.outputs(), ["emb.npy", "emb.npy.records.tsv", "emb.npy.run.json"]);
    assert_eq!(code(&["two.fa", "-o", "out/emb.npy"]), Some(1));
}

/// Not even with `--force`.
#[test]
fn an_input_is_never_replaced() {
    let place = Place::new();
    place.write("in.npy", TWO).write("x_nucleotide.fa", TWO).write("out/viral.fna", ">a\nACGTACGT\n");
    let refused = |arguments: &[&str]| place.run(arguments).is_refused(&["is an input too", "hint: "]);
    refused(&["embed", "--model", MODEL, "in.npy", "-o", "in.npy", "--force"]);
    refused(&["frames", "x_nucleotide.fa", "-o", "x", "--force"]);
    refused(&["predict", "out/viral.fna", "-o", "out", "--force"]);
    place.write("in.svg", TWO);
    refused(&["pack", "in.svg", "--plot", "in.svg", "--force"]);
    place.run(&["pack", "in.svg", "--plot", "x_nucleotide.fa.svg"]).succeeds(&[]);
    place.run(&["pack", "in.svg", "--plot", "x_nucleotide.fa.svg"]).is_refused(&["exists", "--force"]);
    place.run(&["pack", "in.svg", "--plot", "x_nucleotide.fa.svg", "--force"]).succeeds(&[]);
    place.embed(&["in.npy", "--shard", "1/1", "-o", "out/1.shard"]).succeeds(&[]);
    refused(&["merge", "out/1.shard", "--format", "npy", "-o", "out/1.shard", "--force"]);
    refused(&["merge", "out/1.shard", "-o", "in.npy", "--force"]);
    for input in ["in.npy", "x_nucleotide.fa"] {
        assert_eq!(place.read(input).as_bytes(), TWO);
    }
}

/// The reader of stdout may stop early.
#[cfg(unix)]
#[test]
fn a_closed_stdout_is_not_a_failure() {
    use std::process::Stdio;
    let place = Place::new();
    let mut child = place.command(&["completions", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
