//! Records, headers, settings and lists that are too large to be valid.

use std::fs::File;

use super::compression::gzip;
use super::refused;
use crate::support::{MODEL, Place};

#[test]
fn every_command_has_the_limits_of_records_and_headers() {
    let place = Place::new();
    let record = |letters: usize| format!(">small\nACGT\n>big\n{}\n", "ACGT".repeat(letters / 4));
    // 5 bytes of header with its end, 1 of the last line's.
    place.write("at.fa", record(999_994)).write("over.fa", record(1_000_000));
    place.write("header.fa", format!(">{}\nACGT\n", "h".repeat(2001)));
    let nucleotide = ["--model", "virpack-mini/nucleotide"];
    let commands = [
        [&["embed", "-o", "out/emb.npy", "--force"][..], &nucleotide].concat(),
        [&["pack"][..], &nucleotide].concat(),
        [&["validate"][..], &nucleotide].concat(),
        vec!["predict", "-o", "out/verdicts", "--force"],
        vec!["frames", "-o", "out/frames", "--force"],
    ];
    for command in &commands {
        let run = |more: &[&str]| place.run(&[command, more].concat());
        let refused = "over.fa:3: record 2 (big) is larger than 1 MB\nhint: --max-record-size";
        run(&["--max-record-size", "1MB", "over.fa"]).stops(&[refused]);
        let refused = "header.fa:1: record 1: its header is longer than 2 kB\nhint: ";
        run(&["--max-header-size", "2kB", "header.fa"]).stops(&[refused]);
        assert_eq!(place.outputs(), [""; 0], "{command:?}");
    }
    let ran = place.run(&[&commands[1][..], &["--max-record-size", "1MB", "at.fa"]].concat());
    ran.succeeds(&[]);
    let ran = place.run(&[&commands[1][..], &["--max-header-size", "2001", "header.fa"]].concat());
    ran.succeeds(&[]);
    let ran = place.run(&["pack", "at.fa", "--max-record-size", "12"]);
    ran.is_refused(&["expected a size of 1kB or more, as 500MB or 4GB"]);
}

#[test]
fn a_decompression_bomb_is_refused_unless_its_size_is_asked_for() {
    let place = Place::new();
    // 150 MB in 150 kB; the members are one text.
    let part = gzip(&vec![b'A'; 10_000_000]);
    place.write("bomb.fa.gz", [&gzip(b">bomb\n")[..], &part.repeat(15)].concat());
    refused(
        &place,
        &["bomb.fa.gz"],
        &["bomb.fa.gz:1: record 1 (bomb) is larger than 100 MB, from at most ", "hint: --max-record-size"],
    );
    let pack = ["pack", "--model", "virpack-mini/nucleotide", "bomb.fa.gz"];
    place.run(&[&pack[..], &["--max-record-size", "200MB"]].concat()).succeeds(&[]);
}

#[test]
fn settings_and_manifests_have_a_largest_size() {
    let place = Place::new();
    place.write("two.fa", super::TWO);
    let large = |name: &str, bytes: u64| {
        std::fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        File::create(place.path(name)).unwrap().set_len(bytes).unwrap();
    };
    // All zeros, which take no more space on disk than that.
    std::fs::create_dir(place.path("model")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(format!("{MODEL}/{file}"), place.path(&format!("model/{file}"))).unwrap();
    }
    large("model/config.json", 20_000_000_000);
    let ran = place.run(&["embed", "--model", "model", "-o", "out/emb.npy", "two.fa"]);
    ran.is_refused(&["config.json", "it has more than 10.0 MB"]);
    large("dnabert/tokenizer.json", 20_000_000_000);
    let dnabert = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/dnabert_tiny/8");
    for file in std::fs::read_dir(dnabert).unwrap().map(|file| file.unwrap()) {
        if file.file_name() != "tokenizer.json" {
            std::fs::copy(file.path(), place.path("dnabert").join(file.file_name())).unwrap();
        }
    }
    let ran = place.run(&["embed", "--model", "dnabert", "-o", "out/emb.npy", "two.fa"]);
    ran.is_refused(&["tokenizer.json", "it has more than 100.0 MB"]);
    assert_eq!(place.outputs(), [""; 0]);
    large("out/emb.npy.partial/manifest.json", 20_000_000_000);
    let ran = place.embed(&["-o", "out/emb.npy", "--resume", "two.fa"]);
    ran.is_refused(&["manifest.json", "it has more than 64.0 MB"]);
}
