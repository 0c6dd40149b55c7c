//! Errors and messages of `virpack predict`.

use crate::support::{MODEL, PROTEINS, Place, Ran};

/// `virpack predict` with the tiny models and their classifier.
fn predict(place: &Place, arguments: &[&str]) -> Ran {
    Ran::of(predict_command(place, arguments))
}

pub(super) fn predict_command(place: &Place, arguments: &[&str]) -> std::process::Command {
    let fixture = |name: &str| format!("{}/../../fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let (model, classifier) = (fixture("dnabert_tiny/8"), fixture("predict/300_model.pth"));
    let models = ["--nucleotide-model", &model, "--protein-model", MODEL, "--device", "cpu"];
    let classifier = ["--classifier", classifier.as_str()];
    let classifier = if arguments.contains(&"--classifier") { &[][..] } else { &classifier[..] };
    place.command(&[&["predict"][..], &models, classifier, arguments].concat())
}

#[test]
fn predict_with_nothing_to_pack_reports_it() {
    let place = Place::new();
    place.write("in.fa", ">n\nNNNN\n");
    let said = [
        "0 of 1 sequence is viral (",
        "; 0 uncertain, 0 cellular, 1 without a verdict (1 without an open frame)\n",
        "open: out/p/report.html, out/p/sequences.tsv\n",
    ];
    predict(&place, &["in.fa", "-o", "out/p"]).succeeds(&said);
    let report: serde_json::Value = serde_json::from_str(&place.read("out/p/run.json")).unwrap();
    assert_eq!(report["packing"]["protein"]["efficiency"], serde_json::Value::Null);
    assert_eq!(report["devices"][1]["model"], "protein");
    assert_eq!(report["output"], "out/p");
}

/// Each record keeps its rows, whatever its id.
#[test]
fn two_contigs_of_one_id_have_rows_of_their_own() {
    let place = Place::new();
    // Of 700 bases each, in three chunks; the letters of the second one differ, and so do its scores.
    let [first, second] = ["GCC", "GCTGGA"].map(|letters| letters.repeat(700)[..700].to_owned());
    place.write("one.fa", format!(">c\n{first}\n>other\n{first}\n>c\n{second}\n"));
    place.write("two.fa", format!(">c\n{second}\n"));
    let ran = predict(
        &place,
        &["one.fa", "two.fa", "-o", "out/run", "--plot", "--compat", "broad", "--min-score", "0"],
    );
    ran.succeeds(&[
        "4 of 4 sequences are viral",
        "warning: 1 id comes more than once, the first is c: each record has its own rows, in input order",
    ]);
    let rows = |name: &str| -> Vec<Vec<String>> {
        let text = place.read(&format!("out/run/{name}"));
        text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    };
    let records: Vec<String> =
        rows("sequences.tsv").iter().map(|row| format!("{} {}", row[0], row[1])).collect();
    assert_eq!(records, ["c one.fa", "other one.fa", "c one.fa", "c two.fa"]);
    let chunks = rows("chunks.tsv");
    assert_eq!(chunks.iter().map(|row| &*row[2]).collect::<Vec<_>>(), ["1", "2", "3"].repeat(4));
    // Each row names the record's row in sequences.tsv, in its last column.
    for (table, least) in [("chunks.tsv", 12), ("frames.tsv", 12), ("regions.tsv", 1)] {
        let rows = rows(table);
        assert!(rows.len() >= least, "{table}");
        for row in &rows {
            let record: usize = row.last().unwrap().parse().unwrap();
            assert_eq!(records[record], format!("{} {}", row[0], row[1]), "{table}");
        }
        let of_two: Vec<_> =
            rows.iter().filter(|row| row[1] == "two.fa").map(|row| row.last().unwrap()).collect();
        assert!(of_two.iter().all(|record| *record == "3"), "{table}: {of_two:?}");
    }
    let of_chunks_tsv: Vec<_> = chunks.iter().map(|row| row.last().unwrap().as_str()).collect();
    assert_eq!(of_chunks_tsv, ["0", "0", "0", "1", "1", "1", "2", "2", "2", "3", "3", "3"]);
    // VirNucPro's table of chunks has a row for each chunk with frames, equal ids in input order, each with
    // the scores of its own record.
    let highest = rows("prediction_results_highestscore.csv");
    let of_chunks = |record: &str, number: &str| -> Vec<[String; 2]> {
        let own = chunks.iter().filter(|row| row[0] == record && row[2] == number && row[5] != "0");
        own.map(|row| [row[7].clone(), row[8].clone()]).collect()
    };
    for number in ["1", "2", "3"] {
        let id = format!("c_chunk_{number}");
        let own = highest.iter().filter(|row| row[0] == id);
        let found: Vec<[String; 2]> = own.map(|row| [row[2].clone(), row[3].clone()]).collect();
        assert_eq!(found, of_chunks("c", number));
        assert_eq!(found.len(), 3);
        assert!(found[0] != found[1] && found[1] == found[2], "{found:?}");
    }
    assert_eq!(highest.len(), 12);
    assert_eq!(place.read("out/run/viral.fna").matches(">c\n").count(), 3);
    let plots = std::fs::read_dir(place.path("out/run/plots")).unwrap();
    let mut names: Vec<_> = plots.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["000001_c.svg", "000002_other.svg", "000003_c.svg", "000004_c.svg", "overview.svg"]);
    let report: serde_json::Value = serde_json::from_str(&place.read("out/run/run.json")).unwrap();
    assert_eq!(report["counts"]["repeated_ids"], 1);
}

#[test]
fn predict_reports_its_input_and_its_results() {
    let place = Place::new();
    place.write("in.fa", format!(">v x y\n{}\n>n\nNNNN\n>t\nAC\n>e\n", "GCC".repeat(150)));
    let ran = predict(&place, &["in.fa", "-o", "out/run", "--plot"]);
    ran.succeeds(&[
        "chunks of 300 bases",
        " of 4 sequences are viral (",
        ", 3 without a verdict (1 without an open frame, 1 too short, 1 empty)\n",
        "\nopen: out/run/report.html, out/run/sequences.tsv",
        "\n4 chunks, ",
    ]);
    let table = place.read("out/run/sequences.tsv");
    let ends: Vec<_> = table.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(ends, ["status", "classified", "no_open_frame", "too_short", "empty"]);
    assert!(place.read("out/run/plots/000001_v.svg").starts_with("<svg"));
    let report: serde_json::Value = serde_json::from_str(&place.read("out/run/run.json")).unwrap();
    assert_eq!(report["counts"]["records"], 4);
    assert_eq!(report["inputs"][0]["bytes"], std::fs::metadata(place.path("in.fa")).unwrap().len());
    assert_eq!(report["models"]["files"].as_array().unwrap().len(), 6);
    // Neither a second time nor into a file; with --force and without plots, those of the other run are
    // removed.
    predict(&place, &["in.fa", "-o", "out/run"]).is_refused(&["frames.tsv exists", "--force"]);
    predict(&place, &["in.fa", "-o", "in.fa"]).is_refused(&["in.fa is not a directory", "hint: "]);
    let ran = predict(&place, &["in.fa", "-o", "out/run", "--force", "--length", "500", "--quiet"]);
    ran.succeeds(&["warning: chunks of 500 bases, but ", "was trained on 300"]);
    assert!(!place.path("out/run/plots").exists());
}

#[test]
fn predict_names_the_model_that_takes_no_part() {
    let place = Place::new();
    place.write("in.fa", b">a\nATGGCCGCC\n");
    // As wide as the vectors of the tiny DNABERT.
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
    let classifier = format!("{fixtures}/classifier/500_model.pth");
    let ran = predict(&place, &["in.fa", "-o", "out/p", "--classifier", &classifier, "--quiet"]);
    ran.succeeds(&["takes the nucleotides' vectors alone: --protein-model takes no part"]);
}

#[test]
fn predict_refuses_other_inputs_than_nucleotides_and_other_files_than_classifiers() {
    let place = Place::new();
    place.run(&["models", "convert", "/nosuch/x", "x.safetensors"]).is_refused(&["cannot read /nosuch/x: "]);
    place.write("in.fa", ">a\nGCC\n").write("no.pth", "no classifier").write("bad.safetensors", "{}");
    predict(&place, &[PROTEINS, "-o", "out/p", "--quiet"])
        .is_refused(&["is not a nucleotide sequence", "hint: "]);
    for file in ["no.pth", "bad.safetensors", "in.fa", "absent.pth"] {
        predict(&place, &["in.fa", "-o", "out/p", "--classifier", file]).is_refused(&[file]);
    }
    predict(&place, &["in.fa", "-o", "out/p", "--min-chunk-score", "2"])
        .is_refused(&["--min-chunk-score", "between 0 and 1"]);
    for two in [["--strict", "--relaxed"], ["--strict", "--min-score=0.5"], ["--relaxed", "--min-score=0.5"]]
    {
        predict(&place, &[&["in.fa", "-o", "out/p"], &two[..]].concat()).is_refused(&["cannot be used with"]);
    }
    for name in ["out.tsv", "out/verdicts.FNA", "contigs.fa.gz"] {
        let said = [&*format!("-o {name} looks like a file"), "hint: name a directory"];
        predict(&place, &["in.fa", "-o", name]).is_refused(&said);
    }
    predict(&place, &["absent.fa", "-o", "out/p"]).is_refused(&["cannot open absent.fa"]);
    assert!(place.outputs().is_empty());
}

#[test]
fn a_directory_may_be_called_like_a_file_and_compat_needs_no_value() {
    let place = Place::new();
    place.write("in.fa", ">a\nATGGCCGCC\n").write("run.tsv/mine", "");
    predict(&place, &["in.fa", "-o", "run.tsv", "--compat"])
        .succeeds(&["open: run.tsv/report.html, run.tsv/sequences.tsv"]);
    assert!(place.read("run.tsv/prediction_results.txt").contains("a_chunk_1F1\t"));
    let highest = place.read("run.tsv/prediction_results_highestscore.csv");
    assert!(highest.starts_with("Modified_ID\tIs_Virus\n"), "{highest}");
    predict(&place, &["in.fa", "-o", "plain"]).succeeds(&[]);
    assert!(!place.path("plain/prediction_results.txt").exists());
}
