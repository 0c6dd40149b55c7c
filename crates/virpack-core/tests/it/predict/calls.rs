//! Calls, regions and skipped records, with the built-in model, whose calibration counts.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use virpack_core::calls::{CallOptions, Counts};
use virpack_core::model::mini;
use virpack_core::predict::{Bundle, PredictOptions};
use virpack_core::{CheckpointOptions, DeviceChoice, DeviceOptions};
use virpack_seq::Record;
use virpack_seq::reader::{self, hex};

use super::{fixture, rows, run};

/// The built-in model on the CPU.
fn built_in(input: PathBuf, length: usize, output: &Path) -> PredictOptions {
    let bundle = Bundle::open(&mini::location()).unwrap();
    let options = PredictOptions::with_bundle(vec![input.into()], &bundle, NonZeroUsize::new(length), output);
    options.device(DeviceOptions::default().device(DeviceChoice::Cpu)).checkpoint(None::<CheckpointOptions>)
}

/// Returns a file of `../shared`, if it exists.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nucleotide").join(name);
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
    }
    Some(path).filter(|path| path.exists())
}

#[test]
fn fdr_is_known_where_the_model_was_calibrated() {
    let directory = tempfile::tempdir().unwrap();
    let contigs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/contigs.fasta");
    for (length, is_known) in [(500, true), (300, true), (400, false)] {
        let output = directory.path().join(length.to_string());
        run(&built_in(contigs.clone(), length, &output));
        let rows = rows(&output.join("sequences.tsv"));
        let judged: Vec<_> = rows.iter().filter(|row| row[8] != "NA").collect();
        assert!(judged.len() >= 3, "{rows:?}");
        for row in judged {
            let score: f64 = row[7].parse().unwrap();
            assert!((0.0..=1.0).contains(&score), "{row:?}");
            let fdr = row[10].parse::<f64>();
            assert!(if is_known { (0.0..=1.0).contains(&fdr.unwrap()) } else { row[10] == "NA" }, "{row:?}");
        }
        let report = std::fs::read_to_string(output.join("run.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["models"]["calibration"]["model"] == "virpack-mini", is_known);
        let calibration = std::fs::read(output.join("record_calibration.json"));
        let sum = calibration.ok().map(|text| hex(&Sha256::digest(text)));
        assert_eq!(report["models"]["calibration"]["sha256"].as_str(), sum.as_deref());
        let page = std::fs::read_to_string(output.join("report.html")).unwrap();
        assert_eq!(page.contains("has no rates measured"), !is_known);
        assert_eq!(report["options"]["length"], length);
        assert_eq!([&report["options"]["min_score"], &report["options"]["prevalence"]], [0.7, 0.1]);
    }
}

#[test]
fn shorter_records_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let input = directory.path().join("in.fa");
    // Records of 299, 300 and 0 bases: the second is not shorter than 300.
    let [short, long] = [299, 300].map(|n| "ATGGCCAAAGAACTGCGTTTCGACG".repeat(12)[..n].to_owned());
    std::fs::write(&input, format!(">short\n{short}\n>long x\n{long}\n>empty\n>short2\n{short}\n")).unwrap();
    let all = super::options(std::slice::from_ref(&input), &directory.path().join("all"));
    let with_all = run(&all);
    let predicted = run(&super::options(&[input], &output).min_length(300));
    let rows_of = |name: &str| rows(&output.join(name));
    let told: Vec<String> =
        rows_of("sequences.tsv").iter().map(|row| [&*row[0], &row[2], &row[3], &row[13]].join(" ")).collect();
    let left_out = "below_min_length";
    let expected = [
        format!("short 299 0 {left_out}"),
        "long 300 1 classified".to_owned(),
        format!("empty 0 0 {left_out}"),
        format!("short2 299 0 {left_out}"),
    ];
    assert_eq!(told, expected);
    assert!(rows_of("sequences.tsv")[0][4..13].iter().all(|cell| cell == "NA" || cell == "0"));
    for table in ["chunks.tsv", "frames.tsv"] {
        assert!(!rows_of(table).is_empty() && rows_of(table).iter().all(|row| row[0] == "long"), "{table}");
    }
    let Counts { records, bases, chunks, not_judged, below_min_length, empty, .. } = predicted.calls.counts;
    assert_eq!((records, bases, chunks, empty), (4, 898, 1, 0));
    assert_eq!((not_judged, below_min_length.records, below_min_length.bases), (below_min_length, 3, 598));
    assert!(with_all.tokens.nucleotide > predicted.tokens.nucleotide, "they are not computed");
    assert_eq!(with_all.calls.counts.empty, 1);
}

#[test]
fn without_any_verdict_the_tables_are_complete() {
    let directory = tempfile::tempdir().unwrap();
    let [input, output] = ["in.fa", "out"].map(|name| directory.path().join(name));
    std::fs::write(&input, format!(">a\n{}\n>b\nAC\n>c\n", "N".repeat(1_700))).unwrap();
    let counts = run(&super::options(&[input], &output)).calls.counts;
    assert_eq!((counts.not_judged.records, counts.not_judged.bases), (3, 1_702));
    assert_eq!(counts.viral.records + counts.uncertain.records + counts.cellular.records, 0);
    for row in rows(&output.join("sequences.tsv")) {
        assert!(row[6..13].iter().all(|cell| cell == "NA"), "{row:?}");
    }
    assert!(rows(&output.join("regions.tsv")).is_empty());
    assert_eq!(std::fs::read(output.join("viral.fna")).unwrap(), b"");
}

#[test]
fn virnucpros_files_are_written_when_asked_for_and_go_with_the_run_that_had_them() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let options = super::options(&[fixture("predict/input.fa")], &output);
    let names = ["prediction_results.txt", "prediction_results_highestscore.csv"];
    let are_there = || names.map(|name| output.join(name).exists());
    assert_eq!(run(&options).files.iter().filter(|file| file.exists()).count(), 13);
    assert_eq!(are_there(), [true; 2]);
    let predicted = run(&options.calls(CallOptions::default()).force(true));
    assert_eq!((predicted.files.len(), are_there()), (11, [false; 2]));
}

/// Phage lambda is the first sequence that people try.
#[test]
fn lambda_is_viral() {
    let Some(lambda) = shared("lambda_phage.fa.gz") else { return };
    let directory = tempfile::tempdir().unwrap();
    for length in [300, 500] {
        let output = directory.path().join(length.to_string());
        let predicted = run(&built_in(lambda.clone(), length, &output));
        assert_eq!(predicted.calls.counts.viral.records, 1, "chunks of {length}");
        let row = &rows(&output.join("sequences.tsv"))[0];
        assert_eq!((&*row[8], &*row[9]), ("viral", "True"));
        let best = &predicted.calls.best_viral[0];
        assert_eq!((best.length, format!("{:.4}", best.score)), (48_502, row[7].clone()));
        assert!(rows(&output.join("regions.tsv")).iter().all(|row| row[2] == "viral"));
        assert!(std::fs::read_to_string(output.join("viral.fna")).unwrap().len() > 48_502);
    }
}

/// Of 350 runs of viral chunks, few deserve attention.
#[test]
fn a_bacterial_genome_has_few_candidate_proviruses() {
    let Some(genome) = shared("ecoli_536.fna.gz") else { return };
    let directory = tempfile::tempdir().unwrap();
    let [input, output] = ["parts.fa", "out"].map(|name| directory.path().join(name));
    let mut record = Record::default();
    assert!(reader::open(&[genome.into()]).unwrap().read(&mut record).unwrap());
    let letters = |bases: Range<usize>| std::str::from_utf8(&record.sequence[bases]).unwrap();
    // Nothing in the first megabase deserves attention; something in the second does.
    let parts = [letters(0..1_000_000), letters(3_500_000..3_650_000)];
    std::fs::write(&input, format!(">first x\n{}\n>second x y\n{}\n", parts[0], parts[1])).unwrap();
    let counts = run(&built_in(input, 500, &output)).calls.counts;
    assert_eq!((counts.cellular.records, counts.viral_regions), (2, 0));
    let regions = rows(&output.join("regions.tsv"));
    let of = |id: &str| regions.iter().filter(|row| row[0] == id).count();
    assert!(of("first") <= 15 && (1..=3).contains(&of("second")), "{regions:?}");
    assert_eq!(counts.proviruses, regions.len() as u64);
    // Each is in all four files, with the same bases.
    let [mut fasta, mut bed, mut gff] = [String::new(), String::new(), "##gff-version 3\n".to_owned()];
    for row in &regions {
        let (id, [start, end]) = (&row[0], [3, 4].map(|i| row[i].parse::<usize>().unwrap()));
        let name = format!("{id}|provirus_{start}_{end}");
        let (part, description) = if id == "first" { (parts[0], "x") } else { (parts[1], "x y") };
        writeln!(fasta, ">{name} {description}\n{}", &part[start - 1..end]).unwrap();
        writeln!(bed, "{id}\t{}\t{end}\t{name}", start - 1).unwrap();
        writeln!(gff, "{id}\tvirpack\tprophage\t{start}\t{end}\t{}", row[7]).unwrap();
        assert_eq!((&*row[2], end - start >= 5_999), ("provirus", true));
    }
    let first_cells = |name: &str, cells: usize| -> String {
        let text = std::fs::read_to_string(output.join(name)).unwrap();
        let line = |line: &str| line.split('\t').take(cells).collect::<Vec<_>>().join("\t") + "\n";
        text.lines().map(line).collect()
    };
    assert_eq!(first_cells("proviruses.fna", 1), fasta);
    assert_eq!(first_cells("proviruses.bed", 4), bed);
    assert_eq!(first_cells("proviruses.gff3", 6), gff);
}
