//! Plans of BGZF files: parts are blocks, from a disk and from a store.

use crate::objects::server::Server;
use crate::support::{MODEL, Place};
use codecs::bgzf;
use std::fs;

#[allow(dead_code, reason = "of all compressions, one is needed")]
#[path = "../../../virpack-seq/tests/it/support/codecs.rs"]
mod codecs;

/// Proteins of 1 to 90 residues that do not repeat, as FASTA or FASTQ.
fn proteins(records: usize, is_fastq: bool) -> String {
    let mut state = 7_u64;
    let mut protein = |i: usize| -> String {
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b"ACDEFGHIKLMNPQRSTVWY"[(state >> 40) as usize % 20])
        };
        (0..1 + i * 31 % 90).map(|_| letter()).collect()
    };
    let record = |i: usize| match (protein(i), is_fastq) {
        (letters, false) => format!(">p{i} >\n{letters}\n"),
        (letters, true) => format!("@r{i}\n{letters}\n+\n{}\n", "@".repeat(letters.len())),
    };
    (0..records).map(record).collect()
}

#[test]
fn parts_of_blocks_are_the_parts_of_their_text() {
    let place = Place::new();
    for (name, is_fastq) in [("a.fa", false), ("b.fq", true)] {
        let text = proteins(900, is_fastq);
        let packed = format!("{name}.gz");
        place.write(name, &text).write(&packed, bgzf(text.as_bytes(), 3_000));
        for input in [name, &packed] {
            let plan = format!("out/{input}.plan");
            let arguments = ["plan", "--model", MODEL, input, "-o", &plan, "--part-tokens", "6000"];
            place.run(&arguments).succeeds(&["8 parts of 900 records"]);
            place.run(&["embed", "--plan", &plan, "--device", "cpu", "--part", "2/2"]).succeeds(&[]);
            place.run(&["embed", "--plan", &plan, "--device", "cpu"]).succeeds(&[]);
            place
                .run(&["commit", &plan, "-o", &format!("out/{input}.npy")])
                .succeeds(&["900 rows of 8 parts"]);
            // The same plan again, which has the same name.
            place.run(&arguments).succeeds(&["it was there already"]);
        }
        let read = |file: &str| fs::read(place.path(file)).unwrap();
        assert!(read(&format!("out/{name}.npy")) == read(&format!("out/{packed}.npy")));
        let table = format!("out/{packed}.npy.records.tsv");
        assert!(read(&format!("out/{name}.npy.records.tsv")) == read(&table));
        let lines = place.read(&format!("out/{packed}.plan/plan.jsonl"));
        assert!(
            lines.lines().all(|line| line.contains("\"text\":[") && line.contains("\"skip\":")),
            "{lines}"
        );
    }
}

#[test]
fn parts_of_blocks_of_an_object_read_their_own() {
    let (place, server) = (Place::new(), Server::start());
    let text = proteins(3_000, false);
    let packed = bgzf(text.as_bytes(), 1_000);
    place.write("a.fa", &text);
    server.put("/bucket/a.fa.gz", &packed);
    let store = |arguments: &[&str]| place.with_store(&server, arguments);
    let sent = || server.state().sent.drain(..).map(|(_, bytes)| bytes).sum::<u64>();
    let plan = ["plan", "--model", MODEL, "s3://bucket/a.fa.gz", "-o", "out/plan", "--part-tokens", "50000"];
    store(&plan).succeeds(&["3 parts of 3,000 records"]);
    assert_eq!(sent(), packed.len() as u64, "a plan reads its input once");
    store(&["embed", "--plan", "out/plan", "--device", "cpu"]).succeeds(&[]);
    let read = sent();
    assert!(
        read > packed.len() as u64 && read as f64 <= 1.05 * packed.len() as f64,
        "{read} of {}",
        packed.len()
    );
    store(&["commit", "out/plan", "-o", "out/joined.npy"]).succeeds(&[]);
    place.embed(&["a.fa", "--device", "cpu", "-o", "out/whole.npy"]).succeeds(&[]);
    assert!(
        fs::read(place.path("out/joined.npy")).unwrap() == fs::read(place.path("out/whole.npy")).unwrap()
    );
    // Another object of the same size.
    let other = bgzf(text.replacen(">p0 ", ">q0 ", 1).as_bytes(), 1_000);
    server.put("/bucket/a.fa.gz", &other);
    fs::remove_file(place.path("out/plan/_parts/000001.json")).unwrap();
    store(&["embed", "--plan", "out/plan", "--device", "cpu"])
        .is_refused(&["s3://bucket/a.fa.gz", "the input changed since the plan was made"]);
}

#[test]
fn what_is_wrong_with_a_block_is_said_with_its_place() {
    let place = Place::new();
    let text = proteins(900, false);
    let packed = bgzf(text.as_bytes(), 3_000);
    let plan = |input: &str, directory: &str| {
        place.run(&["plan", "--model", MODEL, input, "-o", directory, "--part-tokens", "6000"])
    };
    place.write("short.fa.gz", &packed[..packed.len() - 28]);
    plan("short.fa.gz", "out/short").is_refused(&[
        "short.fa.gz:",
        "the empty block is missing that ends every BGZF file",
        "hint: ",
    ]);
    place.write("in.fa.gz", &packed);
    plan("in.fa.gz", "out/plan").succeeds(&[]);
    // Damage that keeps size and time shows in the bytes.
    let modified = fs::metadata(place.path("in.fa.gz")).unwrap().modified().unwrap();
    let mut torn = packed.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 40].fill(0xAA);
    place.write("in.fa.gz", &torn);
    let file = fs::File::options().write(true).open(place.path("in.fa.gz")).unwrap();
    file.set_modified(modified).unwrap();
    let embed = place.run(&["embed", "--plan", "out/plan", "--device", "cpu"]);
    embed.stops(&["in.fa.gz:", "the gzip data are damaged", ", in the block at byte ", "hint: "]);
    plan("in.fa.gz", "out/torn").is_refused(&["in.fa.gz:", ", in the block at byte ", "hint: "]);
    assert!(!place.path("out/torn").exists());
}
