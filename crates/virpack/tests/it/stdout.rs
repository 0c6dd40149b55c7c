//! `-o -`: standard output gets the bytes of the file, and nothing else; nothing is left elsewhere.

use crate::support::{MODEL, PROTEINS, Place, Ran};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, Output, Stdio};

const CONTIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/contigs.fasta");

/// Runs with `TMPDIR` in the place's `tmp/`, which is empty afterwards, as is `out/`.
#[track_caller]
fn run(place: &Place, arguments: &[&str]) -> Output {
    let output = command(place, arguments).output().unwrap();
    leaves_nothing(place);
    output
}

fn command(place: &Place, arguments: &[&str]) -> Command {
    std::fs::create_dir_all(place.path("tmp")).unwrap();
    let mut command = place.command(arguments);
    command.env("TMPDIR", place.path("tmp"));
    command
}

#[track_caller]
fn leaves_nothing(place: &Place) {
    assert_eq!(place.outputs(), [""; 0]);
    assert_eq!(place.path("tmp").read_dir().unwrap().count(), 0);
    assert!(!place.path("-").exists());
}

/// Returns its bytes, after checking that it succeeds and prints each of `said` on stderr.
#[track_caller]
fn bytes(place: &Place, arguments: &[&str], said: &[&str]) -> Vec<u8> {
    let Output { status, stdout, stderr } = run(place, arguments);
    Ran { code: status.code(), stdout: String::new(), stderr: String::from_utf8(stderr).unwrap() }
        .succeeds(said);
    stdout
}

fn embed<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["embed", "--model", MODEL, "--device", "cpu"], arguments].concat()
}

#[test]
fn embeddings_are_those_of_the_file() {
    let place = Place::new();
    let options: [&[&str]; 4] =
        [&[], &["--dtype-out", "f16"], &["--token-budget", "1024"], &["--no-packing"]];
    for (format, ending) in [("npy", "npy"), ("arrow", "arrows")] {
        for more in options {
            let name = format!("out/emb.{ending}");
            place.run(&embed(&[&[PROTEINS, "-o", &name][..], more].concat())).succeeds(&[]);
            let file = std::fs::read(place.path(&name)).unwrap();
            std::fs::remove_dir_all(place.path("out")).unwrap();
            std::fs::create_dir(place.path("out")).unwrap();
            let to_stdout = [&[PROTEINS, "-o", "-", "--format", format][..], more].concat();
            let said = ["on CPU, ", "standard output: 4 sequences"];
            assert!(bytes(&place, &embed(&to_stdout), &said) == file, "{format} {more:?}");
        }
    }
    let quiet = run(&place, &embed(&[PROTEINS, "-o", "-", "--quiet"]));
    assert!(quiet.stdout.starts_with(b"\x93NUMPY\x01\x00") && quiet.stderr.is_empty(), ".npy by default");
    let json = bytes(&place, &embed(&[PROTEINS, "-o", "-", "--log-format", "json"]), &[r#""output":"-""#]);
    assert_eq!(json, quiet.stdout);
}

/// Rows that wait for others are in `TMPDIR` if memory cannot hold them; shards are also merged to standard
/// output.
#[test]
fn shards_are_merged_to_standard_output() {
    let place = Place::new();
    for (shard, name) in [("1/2", "in/1.shard"), ("2/2", "in/2.shard")] {
        std::fs::create_dir_all(place.path("in")).unwrap();
        place.run(&embed(&[PROTEINS, "-o", name, "--shard", shard])).succeeds(&[]);
    }
    for format in ["npy", "arrow"] {
        let merge = ["merge", "in/1.shard", "in/2.shard", "-o", "-", "--format", format];
        let merged = bytes(&place, &merge, &["standard output: 4 sequences of 2 shards"]);
        let whole = bytes(&place, &embed(&[PROTEINS, "-o", "-", "--format", format]), &[]);
        assert!(merged == whole, "{format}");
    }
}

#[test]
fn records_without_a_row_are_reported_on_stderr() {
    let place = Place::new();
    place.write("in.fa", ">a\nMKV\n>b no letters\n>c\n>d\nMKV\n");
    let said = ["warning: 2 records skipped: the first is b (empty)", "2 sequences"];
    let npy = bytes(&place, &embed(&["in.fa", "-o", "-"]), &said);
    assert_eq!(npy.len(), 128 + 2 * 48 * 4);
}

#[test]
fn frames_are_those_of_the_file() {
    let place = Place::new();
    place.run(&["frames", CONTIGS, "-o", "files"]).succeeds(&[]);
    for (kind, name) in [("nucleotide", "files_nucleotide.fa"), ("protein", "files_protein.faa")] {
        let frames =
            bytes(&place, &["frames", CONTIGS, "-o", "-", "--kind", kind], &["standard output: 5 records"]);
        assert_eq!(String::from_utf8(frames).unwrap(), place.read(name));
    }
    place.run(&["frames", CONTIGS, "-o", "-"]).is_refused(&["takes one of the two", "hint: add --kind"]);
    place
        .run(&["frames", CONTIGS, "-o", "out/x", "--kind", "protein"])
        .is_refused(&["out/x names files", "hint: leave it out"]);
}

#[test]
fn verdicts_are_those_of_the_table() {
    let place = Place::new();
    let predict = ["predict", CONTIGS, "--device", "cpu", "-o"];
    place.run(&[&predict[..], &["tables"]].concat()).succeeds(&[]);
    let said = ["on CPU, ", "0 of 5 sequences are viral (virpack-mini); "];
    let table = bytes(&place, &[&predict[..], &["-"]].concat(), &said);
    assert_eq!(String::from_utf8(table).unwrap(), place.read("tables/sequences.tsv"));
    // An input that becomes invalid ends the run as usual.
    let many = format!("{}>bad\nACGT7\n", ">good\nGCCGCCGCCGCCGCCGCC\n".repeat(3));
    place.write("bad.fa", many);
    Ran::from(run(&place, &["predict", "bad.fa", "-o", "-"])).stops(&["error: bad.fa:8: ", "`7`"]);
}

#[test]
fn options_that_standard_output_cannot_serve_are_refused() {
    let place = Place::new();
    place.write("in.fa", ">a\nMKV\n>b\nMK7\n").write("dna.fa", ">a\nGCCGCC\n");
    let refused = |arguments: &[&str], said: &[&str]| Ran::from(run(&place, arguments)).is_refused(said);
    let to = |more: &[&'static str]| embed(&[&[PROTEINS, "-o", "-"], more].concat());
    refused(&to(&["--resume"]), &["--resume does not go with -o -", "hint: leave it out"]);
    refused(&to(&["--shard", "1/2"]), &["--shard does not go with -o -", "hint: "]);
    for format in ["parquet", "safetensors", "h5"] {
        let said = format!(".{format} cannot go to standard output");
        refused(&to(&["--format", format]), &[&said, "hint: --format npy or --format arrow"]);
    }
    refused(&to(&["--pool", "none"]), &[".npy holds one row", "hint: use .parquet, .arrows"]);
    refused(&to(&["--format", "arrow", "--dtype-out", "bf16"]), &[".arrows has no bfloat16", "hint: "]);
    // A failed run sends no beginning of an array.
    refused(&embed(&["in.fa", "-o", "-"]), &["in.fa:4: ", "`7`"]);
    let predict = |more| ["predict", "dna.fa", "-o", "-", more];
    refused(&predict("--resume"), &["--resume does not go with -o -", "hint: "]);
    refused(&predict("--plot"), &["--plot does not go with -o -", "hint: "]);
    let mut no_room = command(&place, &to(&[]));
    no_room.env("TMPDIR", place.path("nowhere"));
    Ran::of(no_room).is_refused(&["cannot keep rows in ", "nowhere", "hint: set TMPDIR"]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let place = Place::new();
    place
        .write("dna.fa", (0..4_000).map(|i| format!(">r{i}\n{}\n", "GCCGAC".repeat(20))).collect::<String>());
    let runs = [
        embed(&[PROTEINS, "-o", "-"]),
        embed(&[PROTEINS, "-o", "-", "--format", "arrow"]),
        vec!["frames", "dna.fa", "-o", "-", "--kind", "nucleotide"],
        vec!["predict", "dna.fa", "-o", "-", "--device", "cpu"],
    ];
    for arguments in runs {
        let mut command = command(&place, &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(141), "{arguments:?}: {stderr}");
        let said: Vec<_> = stderr.lines().filter(|line| !line.starts_with("on CPU, ")).collect();
        assert_eq!(said, [""; 0], "{arguments:?}");
        leaves_nothing(&place);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let place = Place::new();
    place.write("dna.fa", ">a\nGCCGCCGCCGCC\n");
    let runs = [
        embed(&[PROTEINS, "-o", "-"]),
        embed(&[PROTEINS, "-o", "-", "--format", "arrow"]),
        vec!["frames", "dna.fa", "-o", "-", "--kind", "protein"],
        vec!["predict", "dna.fa", "-o", "-", "--device", "cpu"],
    ];
    for arguments in runs {
        let mut command = command(&place, &arguments);
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let ran = Ran::from(command.spawn().unwrap().wait_with_output().unwrap());
        ran.is_refused(&["cannot write to standard output: No space left", "hint: the disk that it goes to"]);
        leaves_nothing(&place);
    }
    for arguments in [&["--help"][..], &["-V"], &["embed", "-h"]] {
        let mut command = place.command(arguments);
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let ran = Ran::from(command.spawn().unwrap().wait_with_output().unwrap());
        ran.is_refused(&["cannot write to stdout: No space left"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_standard_output_is_an_error_of_commands_that_write_to_it() {
    let place = Place::new();
    place.write("dna.fa", ">a\nGCCGCCGCCGCC\n");
    let with = |redirection: &str, arguments: &[&str]| {
        let mut shell = Command::new("sh");
        let program = command(&place, arguments);
        let line = format!("exec \"$0\" \"$@\" {redirection}");
        shell.current_dir(place.path("")).args(["-c", &line]);
        shell.arg(program.get_program()).args(program.get_args());
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ran::from(shell.output().unwrap())
    };
    let outputs = [
        embed(&[PROTEINS, "-o", "-"]),
        embed(&[PROTEINS, "-o", "-", "--format", "arrow"]),
        vec!["frames", "dna.fa", "-o", "-", "--kind", "protein"],
        vec!["predict", "dna.fa", "-o", "-", "--device", "cpu"],
    ];
    for arguments in outputs {
        for redirection in [">&-", "1</dev/null"] {
            let words =
                ["standard output is closed or open for reading only", "hint: send it to a file", "-o"];
            with(redirection, &arguments).is_refused(&words);
            leaves_nothing(&place);
        }
    }
    let prints: [&[&str]; 6] = [
        &["pack", PROTEINS],
        &["validate", PROTEINS, "--model", MODEL],
        &["models", "list"],
        &["devices"],
        &["completions", "bash"],
        &["--help"],
    ];
    for arguments in prints {
        let words = ["standard output is closed or open for reading only, and the result goes there"];
        with(">&-", arguments).is_refused(&[words[0], "hint: send it"]);
        with("1</dev/null", arguments).is_refused(&words);
    }
    with(">&-", &embed(&[PROTEINS, "-o", "out/emb.npy"])).succeeds(&["4 sequences"]);
}

#[test]
fn tables_of_virnucpro_do_not_go_to_standard_output() {
    let place = Place::new();
    place.write("dna.fa", ">a\nGCCGCCGCCGCC\n");
    let ran = place.run(&["predict", "dna.fa", "-o", "-", "--compat"]);
    ran.is_refused(&["--compat does not go with -o -: VirNucPro's tables are files", "hint: leave it out"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_no_bytes() {
    let place = Place::new();
    // A program's side of a terminal is also a terminal.
    let terminal = || OpenOptions::new().read(true).write(true).open("/dev/ptmx");
    let Ok(first) = terminal() else { return eprintln!("skipped: no terminals here") };
    drop(first);
    for format in ["npy", "arrow"] {
        let mut command = command(&place, &embed(&[PROTEINS, "-o", "-", "--format", format]));
        command.stdout(terminal().unwrap()).stderr(Stdio::piped());
        let ran = Ran::from(command.spawn().unwrap().wait_with_output().unwrap());
        ran.is_refused(&["standard output is a terminal", "hint: send them to a program or a file"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_input_is_not_written_to() {
    let place = Place::new();
    let text = ">a\nGCCGCCGCCGCC\n";
    place.write("in.fa", text);
    let runs = [
        vec!["frames", "in.fa", "-o", "-", "--kind", "protein"],
        vec!["predict", "in.fa", "-o", "-"],
        vec!["embed", "in.fa", "-o", "-"],
    ];
    for arguments in runs {
        let mut command = command(&place, &arguments);
        command.stdout(OpenOptions::new().append(true).open(place.path("in.fa")).unwrap());
        command.stderr(Stdio::piped());
        let ran = Ran::from(command.spawn().unwrap().wait_with_output().unwrap());
        ran.is_refused(&["/dev/stdout is an input too", "hint: "]);
        assert_eq!(place.read("in.fa"), text);
    }
}

/// The schema is sent before there are rows; a signal then ends the stream within a message, which readers report.
#[test]
fn an_interrupted_stream_is_not_taken_for_a_complete_one() {
    for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
        let place = Place::new();
        let mut command = command(&place, &embed(&["-", "-o", "-", "--format", "arrow"]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stream = child.stdout.take().unwrap();
        // Its schema, a multiple of 64 bytes, and the beginning of the next message: a signal before them would cut the schema.
        let is_begun =
            |begun: &[u8]| begun.len() > 64 && begun.len() % 64 == 4 && begun.ends_with(&[0xff; 4]);
        let mut begun = Vec::new();
        while !is_begun(&begun) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            begun.extend(byte);
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        stream.read_to_end(&mut begun).unwrap();
        assert_eq!(child.wait().unwrap().code(), code);
        assert!(is_begun(&begun), "{}", begun.len());
        leaves_nothing(&place);
    }
}

/// The file of rows that wait for their number has no name that a killed run could leave.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_run_leaves_no_rows_behind() {
    let place = Place::new();
    let mut command = command(&place, &embed(&["-", "-o", "-"]));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let descriptors = format!("/proc/{}/fd", child.id());
    let is_scratch = |path: std::path::PathBuf| path.starts_with(place.path("tmp"));
    let has_scratch = || {
        let links = std::fs::read_dir(&descriptors).unwrap().flatten();
        links.filter_map(|link| link.path().read_link().ok()).any(is_scratch)
    };
    let begun = (0..3_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        has_scratch()
    });
    assert!(begun, "no rows were begun in TMPDIR");
    child.kill().unwrap();
    child.wait().unwrap();
    leaves_nothing(&place);
}

/// A file may be called `-` if its directory is named.
#[test]
fn a_file_named_dash() {
    let place = Place::new();
    place.run(&embed(&[PROTEINS, "-o", "./-", "--format", "npy"])).succeeds(&["./-: 4 sequences"]);
    let mut file = Vec::new();
    File::open(place.path("-")).unwrap().read_to_end(&mut file).unwrap();
    assert!(file.starts_with(b"\x93NUMPY"));
}
