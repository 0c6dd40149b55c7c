//! Disks that fill, accept nothing or lose a directory.

use super::TWO;
use super::signals::wait_for_outputs;
use crate::support::{MODEL, Place, Ran, program};
use std::io::Write;

/// Runs `virpack embed` on many proteins in a separate mount namespace, in which `out` is a tmpfs with
/// these options, and returns what it left there; None if the system does not allow such a namespace.
#[cfg(target_os = "linux")]
fn embed_on_tmpfs(place: &Place, options: &str, output: &str) -> Option<(Ran, String)> {
    let program = program();
    let script = format!(
        "mount -t tmpfs -o {options} none out || exit 77; \
         {program} embed in.fa -m {MODEL} -o {output} --device cpu -q; code=$?; ls -A out > left; exit $code"
    );
    let mut shell = std::process::Command::new("unshare");
    shell.args(["--mount", "--map-root-user", "sh", "-c", &script]).current_dir(place.path(""));
    let ran = Ran::of(shell);
    if ran.code == Some(77) || ran.stderr.starts_with("unshare: ") {
        eprintln!("skipped: no tmpfs here: {}", ran.stderr);
        return None;
    }
    Some((ran, place.read("left")))
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_and_one_that_is_read_only() {
    let place = Place::new();
    // Different proteins, because equal ones take little space in .parquet.
    let letter = |i: u32, j: u32| {
        let hash = i.wrapping_mul(2_654_435_761).rotate_left(5 * j);
        char::from(b"ACDEFGHIKLMNPQRSTVWY"[hash as usize % 20])
    };
    let sequence = |i| (0..12).map(|j| letter(i, j)).collect::<String>();
    place.write("in.fa", (0..12_000).map(|i| format!(">r{i}\n{}\n", sequence(i))).collect::<String>());
    for ending in ["npy", "parquet", "safetensors", "h5"] {
        let output = format!("out/emb.{ending}");
        let Some((ran, left)) = embed_on_tmpfs(&place, "size=200k", &output) else { return };
        // The output itself, or the first part of the checkpoint.
        let said = format!("cannot write {output}");
        ran.is_refused(&[&said, ": No space left on device", "hint: the disk is full: free some space"]);
        assert_eq!(left, "");
    }
    let Some((ran, _)) = embed_on_tmpfs(&place, "ro", "out/emb.npy") else { return };
    ran.is_refused(&["cannot write into out: Read-only file system", "hint: the file system is read-only"]);
}

#[test]
fn an_output_directory_that_vanishes() {
    use std::process::Stdio;
    let place = Place::new();
    let mut command =
        place.command(&["embed", "--model", MODEL, "-", "-o", "out/emb.npy", "--device", "cpu"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for_outputs(&place, 2);
    std::fs::remove_dir_all(place.path("out")).unwrap();
    child.stdin.take().unwrap().write_all(TWO).unwrap();
    Ran::from(child.wait_with_output().unwrap()).is_refused(&[
        "cannot put out/emb.npy.run.json in its place: No such file",
        "hint: nothing of the result is left in its directory, which may have been removed",
    ]);
}

/// A file-size limit acts like a disk that fills: a write fails in the middle.
#[test]
fn predict_on_a_disk_that_fills_leaves_nothing() {
    let place = Place::new();
    place.write("in.fa", format!(">a\n{}\n", "GCC".repeat(20_000)));
    let fixture = |name: &str| format!("{}/../../fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let command = format!(
        "ulimit -f 8; trap '' XFSZ; exec {} predict in.fa -o out/p --device cpu --quiet --nucleotide-model {} \
         --protein-model {} --classifier {}",
        program(),
        fixture("dnabert_tiny/8"),
        MODEL,
        fixture("predict/300_model.pth"),
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command]).current_dir(place.path(""));
    let ran = Ran::of(shell);
    ran.is_refused(&["cannot write ", "hint: "]);
    assert!(place.outputs().is_empty());
}
