//! The same for `predict`: the tables are those of an undisturbed run.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{outputs, run_line, said_command, signal, started_into};
use crate::support::{Place, Ran, program};

/// The files of the library's tests.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");

/// FASTA of this number of contigs of 1 to 1,500 bases, some of them equal, some without an open frame.
fn contigs(records: usize) -> String {
    let mut state = 7u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let bases: String = (0..20_000).map(|_| ["A", "C", "G", "T", "GCC", "ATG"][next(6)]).collect();
    let contig = |i: usize| {
        let length = 1 + next(if i.is_multiple_of(4) { 1_500 } else { 300 });
        let start = next(bases.len() - length);
        format!(">c{i} of {length}\n{}\n", &bases[start..start + length])
    };
    let all: Vec<String> = (0..records).map(contig).collect();
    let again = all.iter().take(records / 10).cloned();
    again.chain(all.iter().cloned()).collect()
}

/// The arguments of a run with the tiny models on the CPU into `out/v`, with many small parts.
fn arguments() -> Vec<String> {
    let named = |option: &str, path: &str| [option.to_owned(), format!("{FIXTURES}/{path}")];
    let fixed = [
        "predict",
        "input.fa",
        "--compat",
        "--device",
        "cpu",
        "--threads",
        "2",
        "--length",
        "300",
        "-o",
        "out/v",
    ];
    let small = ["--checkpoint-records", "100", "--token-budget", "1024", "--buffer-size", "400"];
    let peptides = ["--protein-model", concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/esm2_tiny")];
    let mut arguments: Vec<String> =
        [&fixed[..], &small, &peptides].concat().iter().map(ToString::to_string).collect();
    arguments.extend(named("--classifier", "predict/300_model.pth"));
    arguments.extend(named("--nucleotide-classifier", "predict/300_nucleotide_model.pth"));
    arguments.extend(named("--nucleotide-model", "dnabert_tiny/8"));
    arguments
}

/// [`arguments`], and `more`.
fn run_with(place: &Place, more: &[&str]) -> Ran {
    let arguments = arguments();
    place.run(&[&arguments.iter().map(String::as_str).collect::<Vec<_>>()[..], more].concat())
}

/// Starts such a run and waits until it has a part.
fn started(place: &Place) -> Child {
    let arguments = arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    started_into(place, &arguments, &place.path("out/v/run.partial"))
}

/// Returns the tables of an undisturbed run, which are then removed, and its time.
fn undisturbed(place: &Place) -> (BTreeMap<String, Vec<u8>>, Duration) {
    let begin = Instant::now();
    run_with(place, &["--no-checkpoint"])
        .succeeds(&[" sequences are viral (", " judged without an open frame"]);
    let (whole, time) = (outputs(&place.path("out/v")), begin.elapsed());
    assert_eq!(whole.len(), 11);
    std::fs::remove_dir_all(place.path("out/v")).unwrap();
    (whole, time)
}

#[test]
fn an_interrupted_prediction_names_the_command_that_resumes_it() {
    let place = Place::new();
    place.write("input.fa", contigs(1_500));
    let (whole, _) = undisturbed(&place);
    for how in ["-TERM", "-INT"] {
        let child = started(&place);
        signal(&child, how);
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(130), "{ran:#?}");
        assert!(ran.stderr.contains("interrupted: the batches under way are finished and kept"), "{ran:#?}");
        assert!(ran.stderr.contains(" embeddings for more are kept in out/v/run.partial"), "{ran:#?}");
        let left: Vec<_> = outputs(&place.path("out/v")).into_keys().collect();
        assert_eq!(left, ["run.partial"], "no temporary file");
        run_with(&place, &[]).is_refused(&[
            "out/v/run.partial holds ",
            " embeddings for more of a run that was interrupted",
            "hint: continue with --resume, or start again with --force",
        ]);
        run_with(&place, &["--resume", "--genetic-code", "11"])
            .is_refused(&["holds parts of another run:", "genetic code: 1 there, 11 here"]);
        let line = said_command(&ran);
        run_line(&place, &line).succeeds(&["resuming: ", " finished", " finished before)"]);
        assert_eq!(outputs(&place.path("out/v")), whole, "{how}");
        run_line(&place, &line)
            .succeeds(&["the output is complete already: out/v/run.json describes this run"]);
        run_with(&place, &["--resume", "--min-score", "0.9"])
            .succeeds(&["its files are made again from its scores", " chunks judged again in "]);
        assert_eq!(outputs(&place.path("out/v"))["frames.tsv"], whole["frames.tsv"]);
        run_with(&place, &["--resume", "--min-score", "0.9"]).succeeds(&["the output is complete already"]);
        run_with(&place, &["--resume"]).succeeds(&["its files are made again from its scores"]);
        assert_eq!(outputs(&place.path("out/v")), whole, "{how}");
        run_with(&place, &["--resume", "--min-length", "9"]).is_refused(&["describes another run"]);
        run_with(&place, &[]).is_refused(&["out/v/frames.tsv exists"]);
        std::fs::remove_dir_all(place.path("out/v")).unwrap();
    }
}

#[test]
fn a_run_killed_many_times_makes_the_same_tables() {
    let place = Place::new();
    place.write("input.fa", contigs(1_200));
    let (whole, time) = undisturbed(&place);
    let mut arguments = arguments();
    arguments.push("--resume".to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut random = u64::from(std::process::id());
    let mut killed = 0;
    for _ in 0..6 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(time.mul_f64(0.7 * (random >> 33) as f64 / (1u64 << 31) as f64));
        // The run may have finished.
        let _ = child.kill();
        if child.wait().unwrap().success() {
            break;
        }
        killed += 1;
    }
    // A run that was killed when only the removal of the folder remained.
    if !place.path("out/v/run.json").exists() || place.path("out/v/run.partial").exists() {
        place.run(&arguments).succeeds(&[]);
    }
    assert_eq!(outputs(&place.path("out/v")), whole, "killed {killed} times; no temporary file is left");
}

#[test]
fn damaged_parts_are_named_and_redone() {
    let place = Place::new();
    place.write("input.fa", contigs(1_500));
    let (whole, _) = undisturbed(&place);
    let mut child = started(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    // What a killed run has begun stays until the next run; what belongs to another run stays.
    let begun = |name: &String| name.starts_with('.') && name.contains(".tmp-");
    assert!(outputs(&place.path("out/v")).keys().any(begun));
    place.write("out/v/.frames.tsv.tmp-1", "");
    let part = |number: u32| place.path(&format!("out/v/run.partial/{number:06}.part"));
    let mut bytes = std::fs::read(part(1)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(part(1), bytes).unwrap();
    let child = run_with(&place, &["--resume", "--min-chunk-score", "0.99"]);
    child.succeeds(&[
        "warning: out/v/run.partial/000001.part: its checksum is not the one it was written with: what was in it is computed \
         again",
    ]);
    std::fs::remove_file(place.path("out/v/.frames.tsv.tmp-1")).unwrap();
    let tables = outputs(&place.path("out/v"));
    assert_eq!(tables["frames.tsv"], whole["frames.tsv"]);
    assert_eq!(tables["prediction_results.txt"], whole["prediction_results.txt"]);
    assert!(tables["chunks.tsv"] != whole["chunks.tsv"] && tables.len() == whole.len());
}

/// A file-size limit acts like a disk that fills.
#[test]
fn a_disk_that_fills_leaves_the_parts() {
    let place = Place::new();
    place.write("input.fa", contigs(1_500));
    let (whole, _) = undisturbed(&place);
    let arguments = arguments().join(" ");
    let line = format!("ulimit -f 100; trap '' XFSZ; exec {} {arguments}", program());
    let ran = run_line(&place, &line);
    assert!(ran.code == Some(1) && ran.stderr.contains("error: cannot write out/v/"), "{ran:#?}");
    assert_eq!(outputs(&place.path("out/v")).into_keys().collect::<Vec<_>>(), ["run.partial"]);
    run_line(&place, &said_command(&ran)).succeeds(&["resuming: ", " finished before)"]);
    assert_eq!(outputs(&place.path("out/v")), whole);
}
