//! A system that gives no more threads: `ulimit -u`, a container's limit of processes.
//!
//! Threads with a stack of 4 GB are refused where the address space has a limit, for every user: this needs no right and is
//! the same error of the same call.

use std::collections::BTreeSet;

use super::TWO;
use crate::support::{MODEL, Place, Ran};

/// Bytes of a thread's stack: more than all that the threads keep beside it, and less than a machine's memory.
const STACK: u64 = 4 << 30;
/// Bytes for that: the library of matrix products takes 0.6 GB of addresses for each thread.
const BESIDE: u64 = 3 << 30;

/// Runs with room for about so many threads beside the first one.
fn run(place: &Place, threads: u64, arguments: &[&str]) -> Ran {
    let kilobytes = (threads * STACK + BESIDE) / 1024;
    let line = format!("ulimit -v {kilobytes} && exec \"$0\" \"$@\"");
    let virpack = place.command(arguments);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).arg(virpack.get_program()).args(virpack.get_args());
    shell.current_dir(place.path("")).env("CUDA_VISIBLE_DEVICES", "");
    // Threads keep no address space for memory of their own.
    shell.env("RUST_MIN_STACK", STACK.to_string()).env("MALLOC_ARENA_MAX", "1");
    Ran::of(shell)
}

#[test]
fn refused_threads_are_errors_and_no_panics() {
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
        // The first threads are those of the CPU; then come those that load, read, pack and run. Which of these is refused
        // depends on which of the others have ended by then.
        let kinds: BTreeSet<_> = refused.iter().collect();
        assert!(kinds.len() >= 3, "{refused:#?}");
        // The CPU's are two, or the one of a classifier: on a busy machine that one's stack may not be free again in time.
        let of_cpu = ["cannot start 2 threads: ", "cannot start 1 thread: "];
        let is_of_cpu = |error: &String| of_cpu.iter().any(|text| error.starts_with(text));
        assert!(refused.iter().any(is_of_cpu), "{refused:#?}");
        let is_typed = |error: &String| error.starts_with("cannot start ") && error.contains("thread");
        assert!(refused.iter().all(is_typed), "{refused:#?}");
        assert!(ended > 0, "24 threads are enough: {refused:#?}");
    }
}
