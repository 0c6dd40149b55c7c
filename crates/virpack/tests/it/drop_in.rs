//! What pipelines of VirNucPro expect: unique ids, and tables without rows.

use crate::support::Place;

const GENE: &str = "ATGGCCAAAGAACTGCGTTTCGACGTTCAGATCCTGAAAGGTGCA";

/// BAM without a read, as bgzip divides it: the header, and the block that ends every file.
const EMPTY_BAM: [&[u8]; 2] = [
    b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x34\0\x01\x17\0\xe8\xff\
      BAM\x01\x0b\0\0\0@HD\tVN:1.0\n\0\0\0\0\x52\xfd\xf4\xbf\x17\0\0\0",
    b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0",
];

fn first_columns(table: &str) -> Vec<&str> {
    table.lines().skip(1).map(|line| line.split('\t').next().unwrap()).collect()
}

#[test]
fn repeated_ids_are_numbered_in_every_file_and_by_report() {
    let place = Place::new();
    place.write("one.fa", format!(">read1\n{GENE}\n>read1_1\n{GENE}\n>read1 mate\n{GENE}\n"));
    place.write("two.fa", format!(">read1\n{GENE}\n"));
    let run = ["predict", "one.fa", "two.fa", "-o", "out/a", "--compat", "broad"];
    place.run(&[&run[..], &["--unique-ids"]].concat()).succeeds(&[
        "warning: one.fa: the id of a record came before and is numbered",
        "warning: two.fa: the id of a record came before and is numbered",
    ]);
    let ids = ["read1", "read1_1", "read1_2", "read1_3"];
    assert_eq!(first_columns(&place.read("out/a/sequences.tsv")), ids);
    let highest = place.read("out/a/prediction_results_highestscore.csv");
    let chunks = ["read1_1_chunk_1", "read1_2_chunk_1", "read1_3_chunk_1", "read1_chunk_1"];
    assert_eq!(first_columns(&highest), chunks);
    // The inputs are read again: records have the same names.
    place.run(&["report", "out/a", "--min-score", "0"]).succeeds(&["4 of 4 sequences are viral"]);
    assert!(place.read("out/a/viral.fna").contains(">read1_2 mate\n"), "{}", place.read("out/a/viral.fna"));
    let report: serde_json::Value = serde_json::from_str(&place.read("out/a/run.json")).unwrap();
    assert_eq!(report["options"]["unique_ids"], true);
    let other = place.run(&[&run[..], &["--resume"]].concat());
    other.is_refused(&["ids: made unique there, nothing here"]);
}

#[test]
fn an_input_without_records_gives_tables_without_rows() {
    let place = Place::new();
    place.write("empty.bam", EMPTY_BAM.concat()).write("empty.fasta", "");
    for input in ["empty.bam", "empty.fasta"] {
        let output = format!("out/{}", &input[6..]);
        let run = ["predict", input, "-o", &output, "--compat", "broad", "--contigs"];
        place.run(&run).succeeds(&[&format!("warning: {input}: empty, no records")]);
        for (table, header) in [
            ("prediction_results.txt", "Sequence_ID\tPrediction\tscore1\tscore2\n"),
            ("prediction_results_highestscore.csv", "Modified_ID\tIs_Virus\tmax_score_0\tmax_score_1\n"),
        ] {
            assert_eq!(place.read(&format!("{output}/{table}")), header, "{input}");
        }
        for table in ["sequences.tsv", "contigs.tsv"] {
            assert_eq!(place.read(&format!("{output}/{table}")).lines().count(), 1, "{input} {table}");
        }
    }
}

/// The letters of the plant virus among the examples.
fn plant_virus() -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let examples = std::fs::read_to_string(root.join("examples/metagenome.fasta")).unwrap();
    let record = examples.split('>').find(|record| record.starts_with("NC_002795")).unwrap();
    record.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn contigs_are_called_by_predict_and_by_report() {
    let place = Place::new();
    place.write("in.fa", format!(">b2\n{0}>b10\n{0}>none\nNNNN\n", plant_virus()));
    place.run(&["predict", "in.fa", "-o", "out/a", "--contigs"]).succeeds(&["out/a/contigs.tsv"]);
    place.run(&["predict", "in.fa", "-o", "out/b"]).succeeds(&[]);
    assert!(!place.path("out/b/contigs.tsv").exists());
    place.run(&["report", "out/b", "--contigs"]).succeeds(&["out/b/contigs.tsv"]);
    let contigs = place.read("out/a/contigs.tsv");
    assert_eq!(first_columns(&contigs), ["b2", "b10"]);
    assert_eq!(place.read("out/b/contigs.tsv"), contigs);
    // Options that are not given stay; the given ones change tiers only.
    place.run(&["report", "out/b", "--strict"]).succeeds(&["out/b/contigs.tsv"]);
    assert_eq!(place.read("out/b/contigs.tsv"), contigs);
    place.run(&["report", "out/b", "--contigs", "--contig-min-chunks", "100"]).succeeds(&[]);
    let tiers = |name: &str| -> Vec<String> {
        let table = place.read(&format!("out/{name}/contigs.tsv"));
        table.lines().skip(1).map(|row| row.split('\t').nth(2).unwrap().to_owned()).collect()
    };
    // Too few chunks are one tier less.
    assert_eq!([tiers("a"), tiers("b")], [["high_confidence"; 2], ["low_confidence"; 2]]);
    place
        .run(&["predict", "in.fa", "-o", "out/c", "--contigs", "--contig-min-viral", "1.5"])
        .is_refused(&["--contig-min-viral must be between 0 and 1, and is 1.5"]);
    place
        .run(&["predict", "in.fa", "-o", "-", "--contigs"])
        .is_refused(&["--contigs does not go with -o -: contigs.tsv is a file"]);
}
