//! A system that gives no more threads: `ulimit -u`, a container's limit of processes.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

use crate::TWO;
use crate::support::{MODEL, Place, Ran};

#[test]
fn refused_threads_are_errors_and_no_panics() {
    let place = Place::new();
    let fixture = |name: &str| format!("{}/../virpack/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    place.write("two.fa", TWO).write("in.fa", format!(">a\n{}\n", "GCC".repeat(300)));
    let is_root = std::fs::metadata(place.path("out")).unwrap().uid() == 0;
    for folder in [".", "out"] {
        std::fs::set_permissions(place.path(folder), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let embed = format!("embed two.fa --model {MODEL} --device cpu --threads 4 -o out/emb.npy --force");
    let predict = format!(
        "predict in.fa -o out/p --force --device cpu --threads 4 --nucleotide-model {} --protein-model {MODEL} --classifier {}",
        fixture("dnabert_tiny/8"),
        fixture("predict/300_model.pth"),
    );
    let run = |processes: usize, command: &str| {
        let line = format!("ulimit -u {processes}; exec {} {command}", env!("CARGO_BIN_EXE_virpack"));
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line]).current_dir(place.path("")).env("CUDA_VISIBLE_DEVICES", "");
        if is_root {
            // No limit holds root.
            shell.uid(65_534).gid(65_534);
        }
        shell.output().ok().map(Ran::from)
    };
    let mut refused = 0;
    for command in [&embed, &predict] {
        for processes in 1..=24 {
            let Some(ran) = run(processes, command) else {
                return eprintln!("skipped: root, and another user cannot run the binary");
            };
            if ran.code == Some(126) || ran.code == Some(127) || ran.stderr.contains("fork") {
                return eprintln!("skipped: the shell itself is refused: {ran:?}");
            }
            assert!(matches!(ran.code, Some(0..=2)), "{processes}: {ran:#?}");
            assert!(!ran.stderr.contains("panicked"), "{processes}: {ran:#?}");
            refused += usize::from(ran.code != Some(0));
            assert!(ran.code == Some(0) || ran.stderr.contains("error: "), "{processes}: {ran:#?}");
        }
    }
    if refused == 0 {
        eprintln!("skipped: this system limits no threads");
    }
}
