//! What each command prints and returns: `TRYCMD=overwrite cargo test -p virpack-cli --test cli` writes the
//! snapshots anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use support::Place;

#[test]
fn snapshots() {
    trycmd::TestCases::new().case("tests/cmd/*.toml");
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

/// README's first command gives what README shows. Columns are compared, not the blanks between them.
#[test]
fn the_first_command_gives_the_verdicts_that_readme_shows() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let block = |begin: &str| readme.split_once(begin).unwrap().1.split_once("```").unwrap().0;
    let command = block("```sh\n").lines().next().unwrap();
    let arguments: Vec<_> = command.split_once(" -- ").unwrap().1.split(' ').collect();
    let ["predict", input, "-o", "verdicts", "--force"] = arguments[..] else { panic!("{command}") };
    let place = Place::new();
    let input = root.join(input);
    let ran = place.run(&["predict", input.to_str().unwrap(), "-o", "verdicts", "--force"]);
    ran.succeeds(&["virpack-mini, built in"]);
    let table = place.read("verdicts/sequences.tsv");
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut shown = block("```text\n").lines();
    let said = shown.next().unwrap();
    assert!(ran.stderr.lines().any(|line| line == said), "{ran:#?}");
    let rows: Vec<_> = table.lines().map(|line| columns(line)[..7].to_vec()).collect();
    assert_eq!(rows, shown.map(columns).collect::<Vec<_>>());
}

/// Bases of five chunks of 300, and something that cannot be read.
fn contigs() -> String {
    let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATCCTGAAAGGTGCA".repeat(30);
    format!(">gene\n{gene}\n>stops\n{}\n>gap\n{}\n", "TAATTAATTAA".repeat(40), "N".repeat(600))
}

#[test]
fn predict_without_a_model_runs_the_one_it_holds() {
    let place = Place::new();
    place.write("in.fa", contigs());
    let ran = place.run(&["predict", "in.fa", "-o", "out/a"]);
    ran.succeeds(&[
        "virpack-mini, built in, 3.0 M parameters",
        "--preset virnucpro-500",
        "11.8 GB to download",
    ]);
    assert_eq!(ran.stdout, "");
    let named = place.run(&["predict", "in.fa", "-o", "out/b", "--model", "virpack-mini"]);
    named.succeeds(&["chunks of 500 bases"]);
    assert!(!named.stderr.contains("--preset"), "{named:#?}");
    let sequences = place.read("out/a/sequences.tsv");
    assert_eq!(sequences, place.read("out/b/sequences.tsv"));
    let last: Vec<_> = sequences.lines().skip(1).map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(last, ["classified", "classified_nucleotide", "no_open_frame"]);
    let report: serde_json::Value = serde_json::from_str(&place.read("out/a/run.json")).unwrap();
    assert_eq!(report["models"]["name"], "virpack-mini");
    assert_eq!(
        report["models"]["nucleotide_classifier"],
        "virpack-mini/nucleotide_classifier_500.safetensors"
    );
    let files = report["models"]["files"].as_array().unwrap();
    assert!(files.len() == 7 && files.iter().all(|file| file["sha256"].as_str().unwrap().len() == 64));
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
    refused(&["--model", "x"], &["no directory \"x\"", "hint: "]);
    refused(&["--model", "empty"], &["empty: no directory nucleotide", "hint: "]);
    refused(&["--model", "virpack-mini", "--preset", "virnucpro-300"], &["cannot be used with"]);
    assert!(place.outputs().is_empty());
    // A preset's classifier is looked for before anything is downloaded, and what it is is checked.
    place.write("500_model.pth", "no classifier");
    refused(&["--preset", "virnucpro-500"], &["500_model.pth"]);
}

#[test]
fn embed_without_a_model_runs_the_one_that_reads_such_letters() {
    let place = Place::new();
    place.write("in.fa", contigs());
    for (input, model, columns) in
        [("in.fa", "virpack-mini/nucleotide", 128), (support::PROTEINS, "virpack-mini/peptide", 192)]
    {
        let ran = place.run(&["embed", input, "-o", "out/a.npy", "--force"]);
        ran.succeeds(&[model, "built in, as these are ", "to download"]);
        place.run(&["embed", input, "-o", "out/b.npy", "--force", "--model", model]).succeeds(&[]);
        let [a, b] = ["a", "b"].map(|name| support::read_npy(&place.path(&format!("out/{name}.npy"))));
        assert!(a == b && a.1 == columns, "{input}");
    }
    place
        .run(&["embed", "-", "-o", "out/c.npy"])
        .is_refused(&["through a pipe", "--model virpack-mini/peptide"]);
    place.run(&["validate", "in.fa", "--model", "virpack-mini"]).is_refused(&["virpack-mini is two models"]);
}
