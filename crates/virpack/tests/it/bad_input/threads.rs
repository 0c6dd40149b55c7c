//! A system that starts no more threads: `ulimit -u`, or a container's limit of processes.
//!
//! Threads with a stack of 4 GB are refused if the address space is limited, for every user. This needs no
//! privileges and gives the same error of the same call.

use std::collections::BTreeSet;

use super::TWO;
use crate::support::{MODEL, Place, Ran};

/// Bytes of a thread's stack: more than everything else that the threads need, and less than a machine's
/// memory.
const STACK: u64 = 4 << 30;
/// Bytes for everything else.
const BESIDE: u64 = 3 << 30;

/// Runs with room for about this number of threads beside the first one.
fn run(place: &Place, threads: u64, arguments: &[&str]) -> Ran {
    let kilobytes = (threads * STACK + BESIDE) / 1024;
    let line = format!("ulimit -v {kilobytes} && exec \"$0\" \"$@\"");
    let virpack = place.command(arguments);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).arg(virpack.get_program()).args(virpack.get_args());
    shell.current_dir(place.path("")).env("CUDA_VISIBLE_DEVICES", "");
    // Threads reserve no address space for their own memory.
    shell.env("RUST_MIN_STACK", STACK.to_string()).env("MALLOC_ARENA_MAX", "1");
    Ran::of(shell)
}

#[test]
fn too_little_address_space_is_named_as_what_limits_the_memory() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let long = ["embed", "two.fa", "--model", MODEL, "--max-length", "9000000000", "--device", "cpu"];
    let virpack = place.command(&[&long[..], &["-o", "out/emb.npy"]].concat());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\""]).arg(virpack.get_program());
    shell.args(virpack.get_args()).current_dir(place.path("")).env("CUDA_VISIBLE_DEVICES", "");
    let words = [
        " MB that the limit on address space (ulimit -v, h_vmem) leaves do not hold the model",
        "raise the limit",
    ];
    Ran::of(shell).is_refused(&words);
}

#[test]
fn refused_threads_are_errors_and_not_panics() {
    let place = Place::new();
    let fixture = |name: &str| format!("{}/../../fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    place.write("two.fa", TWO).write("in.fa", format!(">a\n{}\n", "GCC".repeat(300)));
    let embed = ["embed", "two.fa", "--model", MODEL, "-o", "out/emb.npy"];
    let [nucleotides, classifier] = ["dnabert_tiny/8", "predict/300_model.pth"].map(fixture);
    let models = ["--nucleotide-model", &nucleotides, "--protein-model", MODEL, "--classifier", &classifier];
    let predict = [&["predict", "in.fa", "-o", "out/p"][..], &models].concat();
    for command in [&embed[..], &predict] {
        let arguments = [command, &["--force", "--device", "cpu", "--threads", "2"]].concat();
        let (mut refused, mut ended) = (Vec::new(), 0);
        for threads in 0..=24 {
            let ran = run(&place, threads, &arguments);
            assert!(matches!(ran.code, Some(0..=2)), "{threads}: {ran:#?}");
            assert!(!ran.stderr.contains("panicked"), "{threads}: {ran:#?}");
            if ran.code == Some(0) {
                ended += 1;
                continue;
            }
            assert!(ran.stderr.contains("\nhint: "), "{threads}: {ran:#?}");
            let error = ran.stderr.lines().find_map(|line| line.strip_prefix("error: "));
            refused.push(error.unwrap_or_else(|| panic!("{threads}: {ran:#?}")).to_owned());
        }
        // The first threads are those of the CPU, followed by those that load, read, pack and run. Which of
        // these is refused depends on which of the others have ended.
        let kinds: BTreeSet<_> = refused.iter().collect();
        assert!(kinds.len() >= 3, "{refused:#?}");
        // The CPU has two threads, or one for a classifier: on a busy machine its stack may not be free
        // again in time.
        let of_cpu = ["cannot start 2 threads: ", "cannot start 1 thread: "];
        let is_of_cpu = |error: &String| of_cpu.iter().any(|text| error.starts_with(text));
        assert!(refused.iter().any(is_of_cpu), "{refused:#?}");
        let is_typed = |error: &String| error.starts_with("cannot start ") && error.contains("thread");
        assert!(refused.iter().all(is_typed), "{refused:#?}");
        assert!(ended > 0, "24 threads are enough: {refused:#?}");
    }
}
