//! `virpack report`: finished runs with other options.

use super::support::Place;

/// Two records of several chunks: the model is certain of neither.
fn contigs() -> String {
    let gene = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATCCTGAAAGGTGCA".repeat(30);
    let other = "GATTACAGGCATGAGCCACCGCGCCCGGCCTTTTATTTTCTTAAA".repeat(40);
    format!(">gene one\n{gene}\n>other\n{other}\n")
}

#[test]
fn a_run_is_judged_again_and_compared() {
    let place = Place::new();
    place.write("in.fa", contigs());
    place.run(&["predict", "in.fa", "-o", "out/a"]).succeeds(&[]);
    let [before, frames] = ["sequences.tsv", "frames.tsv"].map(|name| place.read(&format!("out/a/{name}")));
    place.run(&["report", "out/a", "--min-score", "0", "--plot"]).succeeds(&[
        "2 of 2 sequences are viral (virpack-mini)",
        "out/a/report.html",
        " chunks judged again in ",
    ]);
    assert_eq!(place.read("out/a/viral.fna").matches('>').count(), 2);
    assert!(place.path("out/a/plots/overview.svg").exists());
    // Options that are not given stay: the threshold, and that there are plots.
    place.run(&["report", "out/a", "--prevalence", "0.5"]).succeeds(&["2 of 2 sequences are viral"]);
    assert!(place.path("out/a/plots/000001_gene.svg").exists());
    assert_eq!(place.read("out/a/frames.tsv"), frames);
    let report: serde_json::Value = serde_json::from_str(&place.read("out/a/run.json")).unwrap();
    assert_eq!([&report["options"]["min_score"], &report["options"]["prevalence"]], [0.0, 0.5]);
    assert!(report["command"].as_str().unwrap().ends_with("predict in.fa -o out/a"), "{report}");
    let back = place.run(&["predict", "in.fa", "-o", "out/a", "--resume"]);
    back.succeeds(&["the run is complete: its files are made again from its scores"]);
    assert_eq!(place.read("out/a/sequences.tsv"), before);
    assert!(!place.path("out/a/plots/000001_gene.svg").exists());

    place.run(&["predict", "in.fa", "-o", "out/b", "--strict"]).succeeds(&[]);
    place
        .run(&["report", "out/a", "out/b", "--comparison", "out/both.html"])
        .succeeds(&["2 runs compared: open out/both.html"]);
    assert!(place.read("out/both.html").contains("b&#x2f;report.html"));
    let quiet = place.run(&["report", "out/a", "-q"]);
    quiet.succeeds(&[]);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""));
}

#[test]
fn a_table_that_was_edited_is_named_and_not_the_input() {
    let place = Place::new();
    place.write("in.fa", contigs() + ">tiny kept\nAC\n");
    place.run(&["predict", "in.fa", "-o", "a", "--min-length", "10"]).succeeds(&[]);
    let table = place.read("a/sequences.tsv");
    let edited = |from: &str, to: &str, more: &[&str]| {
        place.write("a/sequences.tsv", table.replacen(from, to, 1));
        place.run(&[&["report", "a", "--min-score", "0"], more].concat())
    };
    for more in [&[][..], &["--no-fasta"]] {
        let said = "a/sequences.tsv, line 2: the id is NEWID here and gene in chunks.tsv";
        edited("\ngene\t", "\nNEWID\t", more).is_refused(&[said, "hint: the tables were changed"]);
    }
    for (from, to, line) in [("\tone\t", "\tONE\t", 2), ("\ntiny\t", "\nTINY\t", 4)] {
        let said = format!("a/sequences.tsv, line {line}: the id, the description or the length is not that");
        edited(from, to, &[]).is_refused(&[&said, "hint: the tables were changed"]);
    }
    let (rows, _) = table.split_once("tiny\t").unwrap();
    place.write("a/sequences.tsv", rows);
    let short = place.run(&["report", "a", "--min-score", "0"]);
    short.is_refused(&["a/sequences.tsv, line ", "rows are missing at the end"]);
    place.write("a/sequences.tsv", &*table);
    place.run(&["report", "a", "--min-score", "0"]).succeeds(&[]);
}

#[test]
fn a_comparison_replaces_no_other_file() {
    let place = Place::new();
    place.write("g.fa", contigs());
    place.write("mine.txt", "notes");
    for directory in ["a", "b"] {
        place.run(&["predict", "g.fa", "-o", directory]).succeeds(&[]);
    }
    let before = ["a", "b"].map(|directory| place.read(&format!("{directory}/run.json")));
    let compare = |page: &str| place.run(&["report", "a", "b", "--strict", "--comparison", page]);
    compare("g.fa").is_refused(&["g.fa is an input too", "hint: give the output another name"]);
    let another = ["mine.txt exists and is not a page that compares runs", "hint: ", "--comparison"];
    compare("mine.txt").is_refused(&another);
    compare("b/sequences.tsv").is_refused(&["b/sequences.tsv is a file of the run in b", "--comparison"]);
    compare("b/plots").is_refused(&["b/plots is a file of the run in b"]);
    compare("a").is_refused(&["a is a directory, not a regular file"]);
    compare("absent/page.html").is_refused(&["cannot write into absent: "]);
    place.write("comparison.html", "mine");
    place.run(&["report", "a", "b", "--strict"]).is_refused(&["comparison.html exists and is not a page"]);
    let one = place.run(&["report", "a", "--strict", "--comparison", "page.html"]);
    one.is_refused(&["--comparison compares the runs in several directories", "hint: leave it out"]);
    assert_eq!(["a", "b"].map(|directory| place.read(&format!("{directory}/run.json"))), before);
    assert_eq!((place.read("g.fa"), &*place.read("mine.txt")), (contigs(), "notes"));
    compare("page.html").succeeds(&["2 runs compared: open page.html"]);
    compare("page.html").succeeds(&["2 runs compared: open page.html"]);
}

#[test]
fn a_run_is_compared_with_others_only() {
    let place = Place::new();
    place.write("g.fa", contigs());
    place.run(&["predict", "g.fa", "-o", "a"]).succeeds(&[]);
    for other in ["a", "./a", "a/../a/"] {
        let said = format!("a and {other} are the same directory");
        place.run(&["report", "a", other]).is_refused(&[&said, "hint: name each run once"]);
    }
    assert!(!place.path("comparison.html").exists());
}

#[test]
fn a_report_replaces_and_removes_only_files_of_its_run() {
    let place = Place::new();
    place.write("g.fa", contigs());
    place.run(&["predict", "g.fa", "-o", "a", "--min-score", "0", "--plot"]).succeeds(&[]);
    // Files of the user under names that virpack gives to others.
    let mine = ["a/plots/000007_page.svg", "a/plots/notes.html", "a/contigs.tsv"];
    for name in mine {
        place.write(name, "mine");
    }
    place.run(&["report", "a", "--plot", "--max-plots", "0"]).succeeds(&[]);
    assert!(!place.path("a/plots/000001_gene.svg").exists(), "a plot of the run");
    mine.iter().for_each(|name| assert_eq!(place.read(name), "mine", "{name}"));

    let asks = ["a/contigs.tsv is not a file of the run in a, and the report would replace it", "hint: move"];
    let before = place.read("a/run.json");
    place.run(&["report", "a", "--contigs"]).is_refused(&asks);
    place.write("a/plots/overview.svg", "mine");
    let asks =
        ["a/plots/overview.svg is not a file of the run in a, and the report would replace it", "hint: move"];
    place.run(&["report", "a", "--plot", "--max-plots", "5"]).is_refused(&asks);
    assert_eq!((place.read("a/run.json"), &*place.read("a/plots/overview.svg")), (before, "mine"));
    for name in ["a/contigs.tsv", "a/plots/overview.svg"] {
        std::fs::remove_file(place.path(name)).unwrap();
    }
    place.run(&["report", "a", "--plot", "--max-plots", "5", "--contigs"]).succeeds(&[]);
    assert!(place.path("a/plots/overview.svg").exists());
    place.run(&["report", "a", "--plot", "--max-plots", "0"]).succeeds(&[]);
    assert!(!place.path("a/plots/overview.svg").exists() && place.path("a/contigs.tsv").exists());
    place.run(&["predict", "g.fa", "-o", "b"]).succeeds(&[]);
    place.write("b/plots", "mine");
    let asks = ["b/plots is not a file of the run in b, and the report would replace it", "hint: move"];
    place.run(&["report", "b", "--plot"]).is_refused(&asks);
    assert!(place.read("b/plots") == "mine" && !place.path("b/run.partial").exists());
    std::fs::remove_file(place.path("b/plots")).unwrap();
    let page = place.run(&["report", "a", "b", "--comparison", "a/plots/000009_page.svg"]);
    page.is_refused(&["a/plots/000009_page.svg is a file of the run in a", "--comparison"]);
}

#[test]
fn the_reason_that_a_run_cannot_be_judged_again_is_reported() {
    let place = Place::new();
    place.write("in.fa", contigs());
    place.run(&["predict", "in.fa", "-o", "out/a"]).succeeds(&[]);
    let report = |more: &[&str]| place.run(&[&["report", "out/a"], more].concat());
    place.run(&["report", "out"]).is_refused(&[
        "out is not the directory of a complete run: out/run.json is not there",
        "hint: name a directory that a run of `predict` has completed",
    ]);
    place.run(&["report", "-"]).is_refused(&["- is standard output, which cannot be read again", "hint: "]);
    report(&["--min-score", "1.5"]).is_refused(&["--min-score must be between 0 and 1, and is 1.5"]);
    place.write("in.fa", contigs().replace("GATTACA", "CATTACA"));
    let before = place.read("out/a/sequences.tsv");
    report(&["--relaxed"]).is_refused(&["and in.fa is not what the run has read", "--no-fasta"]);
    std::fs::remove_file(place.path("in.fa")).unwrap();
    report(&["--relaxed"]).is_refused(&["and in.fa cannot be read: ", "--no-fasta"]);
    assert_eq!(place.read("out/a/sequences.tsv"), before);
    // The same calls need no letters.
    report(&["--plot"]).succeeds(&[]);
    assert!(place.path("out/a/viral.fna").exists());
    // Nor do other options that call no record otherwise.
    let calls = place.read("out/a/sequences.tsv");
    report(&["--min-score", "0.70001", "--no-fasta"]).succeeds(&[]);
    assert_eq!(place.read("out/a/sequences.tsv"), calls);
    assert!(place.path("out/a/viral.fna").exists() && place.path("out/a/proviruses.fna").exists());
    assert!(place.read("out/a/run.json").contains("viral.fna"));
    report(&["--min-score", "0", "--no-fasta"]).succeeds(&["2 of 2 sequences are viral"]);
    assert!(!place.path("out/a/viral.fna").exists() && !place.path("out/a/proviruses.fna").exists());
    let chunks = place.read("out/a/chunks.tsv");
    place.write(
        "out/a/chunks.tsv",
        chunks.lines().take(2).map(|line| format!("{line}\n")).collect::<String>(),
    );
    report(&["--strict", "--no-fasta"]).is_refused(&[
        "out/a/chunks.tsv, line ",
        "rows are missing at the end",
        "hint: ",
    ]);
}
