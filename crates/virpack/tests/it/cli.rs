//! The output and exit code of each command: `TRYCMD=overwrite cargo test -p virpack --test it snapshots`
//! writes the snapshots again.

use crate::support::{MODEL, PROTEINS, Place, program};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

#[test]
fn snapshots() {
    let program = trycmd::schema::Bin::Path(program().into());
    trycmd::TestCases::new().register_bin("virpack", program).case("tests/cmd/*.toml");
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

#[test]
fn manual_pages_of_every_command() {
    let place = Place::new();
    place.run(&["man", "pages"]).succeeds(&[]);
    let page = place.read("pages/virpack-predict.1");
    assert!(
        page.starts_with(".ie") && page.contains(".TH virpack-predict 1") && page.contains("min\\-score")
    );
    for command in ["", "-embed", "-models-info", "-completions"] {
        assert!(place.read(&format!("pages/virpack{command}.1")).contains(".SH NAME"), "{command}");
    }
    std::fs::write(place.path("file"), "").unwrap();
    place.run(&["man", "file"]).is_refused(&["cannot write manual pages into file"]);
}

/// README's first command prints what README shows. Columns are compared, not the blanks between them.
#[test]
fn the_first_command_gives_the_verdicts_that_readme_shows() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let section = readme.split_once("\n## Try it\n").unwrap().1;
    let block = |begin: &str| section.split_once(begin).unwrap().1.split_once("```").unwrap().0;
    let command = block("```sh\n").lines().next().unwrap();
    let arguments: Vec<_> = command.split_once(" -- ").unwrap().1.split(' ').collect();
    let ["predict", input, "-o", "verdicts", "--force"] = arguments[..] else { panic!("{command}") };
    let place = Place::new();
    let input = root.join(input);
    let ran = place.run(&["predict", input.to_str().unwrap(), "-o", "verdicts", "--force"]);
    ran.succeeds(&["with virpack-mini (built in)"]);
    let table = place.read("verdicts/sequences.tsv");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut shown = block("```text\n").lines();
    let said = shown.next().unwrap();
    assert!(ran.stderr.lines().any(|line| line == said), "{ran:#?}");
    // The columns that `cut` takes: numbers and ranges.
    let taken = block("```sh\n").lines().nth(1).unwrap().split(' ').nth(2).unwrap().split(',');
    let taken: Vec<usize> = taken
        .flat_map(|range| {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            from.parse().unwrap()..=to.parse().unwrap()
        })
        .collect();
    let columns = |line: &str| {
        let cells: Vec<_> = line.split('\t').collect();
        taken.iter().map(|number| cells[number - 1].to_owned()).collect::<Vec<_>>()
    };
    let rows: Vec<_> = table.lines().map(columns).collect();
    assert_eq!(rows, shown.map(words).collect::<Vec<_>>());
    let told = std::fs::read_to_string(root.join("docs/reference/tables.md")).unwrap();
    for table in ["sequences", "chunks", "frames", "regions"] {
        let table = place.read(&format!("verdicts/{table}.tsv"));
        for column in table.lines().next().unwrap().split('\t') {
            assert!(told.contains(&format!("`{column}`")), "tables.md does not tell of {column}");
        }
    }
}

/// Returns what `virpack embed - ARGUMENTS` prints: its input ends when it has printed `awaited`.
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
fn if_stderr_is_not_a_terminal_progress_is_lines_at_intervals() {
    let place = Place::new();
    let said = said_until(&place, &["-o", "out/emb.npy"], " elapsed, ");
    let line = said.lines().find(|line| line.contains(" elapsed, ")).unwrap();
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
    assert_eq!(of("progress")[0]["done"], Value::Null, "the length of a pipe is unknown");
    assert!(of("warning")[0]["message"].as_str().unwrap().starts_with("1 record skipped"), "{said}");

    // The summary has the values of `run.json`, but for those that are known once the files are written.
    let summary = events.last().unwrap();
    let report: Value = serde_json::from_str(&place.read("out/emb.h5.run.json")).unwrap();
    let of_files = ["metadata", "file_bytes"];
    for (key, value) in report.as_object().unwrap().iter().filter(|(key, _)| !of_files.contains(&&***key)) {
        assert_eq!(summary[key], *value, "{key}");
    }
    assert_eq!(report["counts"]["records"], 5);
    assert_eq!((&report["counts"]["rows"], &report["counts"]["skipped"]), (&4.into(), &1.into()));
    assert_eq!(report["inputs"][0]["path"], "<stdin>");
    assert_eq!(report["inputs"][0]["bytes"], std::fs::metadata(PROTEINS).unwrap().len() + 8);
    assert_eq!(report["model"]["sha256"], report["metadata"]["virpack.model_sha256"]);
    assert_eq!(report["model"]["files"][0]["sha256"], report["model"]["sha256"]);
    assert_eq!(report["devices"][0]["tokens"], report["counts"]["tokens"]);
    assert_eq!((&report["options"]["pool"], &report["output"]), (&"mean".into(), &"out/emb.h5".into()));
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

/// Wherever the option is, and even if the command does not accept it.
#[test]
fn as_json_so_is_an_option_that_is_refused() {
    let place = Place::new();
    for (arguments, message, hint) in [
        (
            &["embed", "--log-format", "json", "--forse"][..],
            "unexpected argument '--forse' found",
            "'--force'",
        ),
        (&["embed", "x.fa", "--log-format=json"], "were not provided:", "Usage: virpack embed"),
        (&["predict", "--min-score", "high", "--log-format", "json"], "invalid value 'high'", "--help"),
        (
            &["pack", "x.fa", "--log-format", "json"],
            "unexpected argument '--log-format' found",
            "-- --log-format",
        ),
        (&["embbed", "--log-format", "json"], "unrecognized subcommand 'embbed'", "'embed'"),
    ] {
        let ran = place.run(arguments);
        let error: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!((ran.code, &error["event"], &error["exit_code"]), (Some(1), &"error".into(), &1.into()));
        assert!(
            error["message"].as_str().unwrap().contains(message) && ran.stderr.lines().count() == 1,
            "{ran:#?}"
        );
        assert!(error["hint"].as_str().unwrap().contains(hint) && ran.stdout.is_empty(), "{error}");
        // Without it, the format is the usual one.
        let plain: Vec<_> = arguments.iter().copied().filter(|word| !word.contains("json")).collect();
        assert!(place.run(&plain).stderr.starts_with("error: "), "{plain:?}");
    }
}

/// Bases of five chunks of 300, and something that cannot be read.
fn contigs() -> String {
    let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATCCTGAAAGGTGCA".repeat(30);
    format!(">gene\n{gene}\n>stops\n{}\n>gap\n{}\n", "TAATTAATTAA".repeat(40), "N".repeat(600))
}

#[test]
fn the_best_records_are_named_in_short() {
    let place = Place::new();
    let (contigs, long) = (contigs(), "i".repeat(99));
    let gene = contigs.lines().nth(1).unwrap();
    place.write("in.fa", format!(">\n{gene}\n>{long}\n{gene}\n"));
    let ran = place.run(&["predict", "in.fa", "-o", "out/a", "--min-score", "0"]);
    ran.succeeds(&[
        "2 of 2 sequences are viral (virpack-mini); 0 uncertain, 0 cellular\nbest:\n  0.",
        "  (no id), 1,350 bases, 3 chunks\n",
        &format!("  {}…, 1,350 bases, 3 chunks\n", &long[..59]),
        "open: out/a/report.html, out/a/sequences.tsv, out/a/viral.fna",
    ]);
}

#[test]
fn predict_without_a_model_runs_the_one_it_holds() {
    let place = Place::new();
    place.write("in.fa", contigs());
    let ran = place.run(&["predict", "in.fa", "-o", "out/a"]);
    ran.succeeds(&[", with virpack-mini (built in), chunks of 500 bases\n"]);
    assert!(ran.stderr.starts_with("on CPU, "), "{ran:#?}");
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert!(said[1].contains(" of 3 sequences ") && said[1].contains(" viral (virpack-mini); "), "{ran:#?}");
    let ends = ["open: out/a/report.html, out/a/sequences.tsv", "6 chunks, "];
    let last = &said[said.len() - 2..];
    assert!(last.iter().zip(ends).all(|(line, begin)| line.starts_with(begin)), "{ran:#?}");
    assert_eq!(ran.stdout, "");
    let named = place.run(&["predict", "in.fa", "-o", "out/b", "--model", "virpack-mini"]);
    named.succeeds(&[", with virpack-mini (built in), chunks of 500 bases\n"]);
    let sequences = place.read("out/a/sequences.tsv");
    assert_eq!(sequences, place.read("out/b/sequences.tsv"));
    let last: Vec<_> = sequences.lines().skip(1).map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(last, ["classified", "classified_nucleotide", "no_open_frame"]);
    let report: serde_json::Value = serde_json::from_str(&place.read("out/a/run.json")).unwrap();
    assert_eq!(report["models"]["name"], "virpack-mini");
    // One classifier scores chunks with and without an open frame.
    assert_eq!(report["models"]["classifier"], "virpack-mini/classifier_500.safetensors");
    assert!(report["models"]["nucleotide_classifier"].is_null(), "{report}");
    let files = report["models"]["files"].as_array().unwrap();
    assert!(files.len() == 6 && files.iter().all(|file| file["sha256"].as_str().unwrap().len() == 64));
}

#[test]
fn the_length_chooses_the_head() {
    let place = Place::new();
    place.write("in.fa", contigs());
    for (length, head, warned) in
        [("300", 300, false), ("320", 300, true), ("1000", 500, true), ("500", 500, false)]
    {
        let output = format!("out/{length}");
        let ran = place.run(&["predict", "in.fa", "-o", &output, "--length", length]);
        ran.succeeds(&[]);
        let warning = format!(
            "chunks of {length} bases, but virpack-mini/classifier_{head}.safetensors was trained on"
        );
        assert_eq!(ran.stderr.contains(&warning), warned, "{ran:#?}");
        assert!(
            place.read(&format!("{output}/run.json")).contains(&format!("/classifier_{head}.safetensors"))
        );
    }
}

#[test]
fn models_that_say_too_little_or_too_much_are_refused() {
    let place = Place::new();
    place.write("in.fa", contigs()).write("empty/readme", "");
    let refused = |options: &[&str], said: &[&str]| {
        place.run(&[&["predict", "in.fa", "-o", "out/x"], options].concat()).is_refused(said);
    };
    refused(&["--preset", "virnucpro-300"], &["needs 300_model.pth", "hint: it comes with VirNucPro"]);
    refused(&["--protein-model", "x"], &["--protein-model needs the classifier"]);
    refused(&["--nucleotide-classifier", "x"], &["--nucleotide-classifier needs the classifier"]);
    refused(&["--model", "x"], &["\"x\" is neither a directory nor virpack-mini", "hint: "]);
    refused(&["--model", "empty"], &["empty: no directory nucleotide", "hint: "]);
    refused(&["--model", "virpack-mini", "--preset", "virnucpro-300"], &["cannot be used with"]);
    assert!(place.outputs().is_empty());
    // A preset's classifier is searched for and checked before anything is downloaded.
    place.write("500_model.pth", "no classifier");
    refused(&["--preset", "virnucpro-500"], &["500_model.pth"]);
}

/// A command without arguments prints what it does and how to call it.
#[test]
fn a_command_without_arguments_shows_its_help() {
    for (command, purpose) in [("predict", "Find viruses: "), ("embed", "Embed proteins or nucleotides ")] {
        let ran = Place::new().run(&[command]);
        assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:#?}");
        let lines: Vec<&str> = ran.stderr.lines().take(3).collect();
        assert!(lines[0].starts_with(purpose), "{ran:#?}");
        assert!(lines[2].starts_with(&format!("Usage: virpack {command} ")), "{ran:#?}");
    }
}

#[test]
fn pack_without_a_model_plans_for_such_letters() {
    let place = Place::new();
    place.write("in.fa", contigs());
    let tokens = |arguments: &[&str]| {
        let ran = place.run(&[&["pack", "--json"], arguments].concat());
        ran.succeeds(&[]);
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
        (plan["tokens"].as_u64().unwrap(), ran.stderr)
    };
    let (found, said) = tokens(&["in.fa"]);
    assert!(said.starts_with("planned for virpack-mini/nucleotide, as these are nucleotides"), "{said}");
    assert_eq!((found, String::new()), tokens(&["in.fa", "-m", "virpack-mini/nucleotide"]));
    let peptides = tokens(&[PROTEINS]);
    assert_eq!(peptides, tokens(&[PROTEINS, "-m", MODEL]));
    assert_eq!(peptides.1, "");
    // Standard input is examined, and then read from its beginning.
    let mut command = place.command(&["pack", "--json", "-"]);
    command.stdin(std::fs::File::open(place.path("in.fa")).unwrap());
    let ran = crate::support::Ran::of(command);
    ran.succeeds(&["planned for virpack-mini/nucleotide"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan["tokens"].as_u64(), Some(found));
}

#[test]
fn embed_without_a_model_runs_the_one_that_reads_such_letters() {
    let place = Place::new();
    place.write("in.fa", contigs());
    for (input, model, columns) in
        [("in.fa", "virpack-mini/nucleotide", 112), (crate::support::PROTEINS, "virpack-mini/peptide", 128)]
    {
        let ran = place.run(&["embed", input, "-o", "out/a.npy", "--force"]);
        ran.succeeds(&[&format!("tokens a batch, with {model} (built in, for ")]);
        place.run(&["embed", input, "-o", "out/b.npy", "--force", "--model", model]).succeeds(&[]);
        let [a, b] = ["a", "b"].map(|name| crate::support::read_npy(&place.path(&format!("out/{name}.npy"))));
        assert!(a == b && a.1 == columns, "{input}");
    }
    #[cfg(unix)]
    {
        assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
        for (input, what) in [("pipe", "pipe is a pipe"), ("/dev/null", "/dev/null is a device")] {
            let asks = [&format!("{what}, which cannot be read twice"), "--model virpack-mini/peptide"];
            place.run(&["embed", input, "-o", "out/c.npy"]).is_refused(&asks);
        }
    }
    place.run(&["validate", "in.fa", "--model", "virpack-mini"]).is_refused(&["virpack-mini is two models"]);
}
