//! A record's embedding has the same bits in every packing, and on any number of threads.

use std::num::NonZeroUsize;
use std::path::Path;

use virpack_core::EmbedderOptions;
use virpack_core::device::{Backend, Cpu};
use virpack_core::model::classifier::Classifier;
use virpack_seq::{LengthPolicy, LongRecords, Records};

/// Records of many lengths, a few longer than a batch of the smallest budget, whose windows are in several
/// batches.
fn records() -> String {
    let letters = b"LAGVSERTIDPKQNFYMHWC";
    let length = |i: usize| if i % 20 == 19 { 700 } else { 1 + i * 37 % 180 };
    let residue = |i: usize, j: usize| char::from(letters[(i * 7 + j * j + j * (i % 5)) % 20]);
    (0..60)
        .map(|i| format!(">s{i}\n{}\n", (0..length(i)).map(|j| residue(i, j)).collect::<String>()))
        .collect()
}

/// Returns each record's bits.
fn bits(model: &Path, fasta: &str, threads: usize, packing: bool, token_budget: usize) -> Vec<Vec<u32>> {
    let windows = LongRecords::Window { overlap: 50 };
    let options = EmbedderOptions::new(model)
        .token_budget(token_budget)
        .packing(packing)
        .lengths(LengthPolicy { min_length: 1, max_length: 200, long_records: windows });
    let records = Records::from_reader("made up", std::io::Cursor::new(fasta.to_owned())).unwrap();
    crate::in_memory::embed(records, options, NonZeroUsize::new(threads))
        .into_iter()
        .map(|(_, row)| row.iter().map(|v| v.to_bits()).collect())
        .collect()
}

fn holds(model: &Path, fasta: &str) {
    let expected = bits(model, fasta, 1, false, 4_096);
    assert!(expected.len() > 50);
    for threads in [1, 2, 7] {
        for budget in [256, 1_000, 4_096] {
            let found = bits(model, fasta, threads, true, budget);
            assert_eq!(found.len(), expected.len());
            let differing = found.iter().zip(&expected).filter(|(f, e)| f != e).count();
            assert_eq!(differing, 0, "{}, {threads} threads, budget {budget}", model.display());
        }
    }
}

#[test]
fn proteins_have_the_same_bits_packed_and_alone_on_any_number_of_threads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    holds(&root.join("../../examples/esm2_tiny"), &records());
    holds(&root.join("../../fixtures/esm2_tiny/24"), &records());
}

#[test]
fn nucleotides_too() {
    let bases: String = records()
        .chars()
        .map(|c| if c.is_ascii_uppercase() { ['A', 'C', 'G', 'T'][c as usize % 4] } else { c })
        .collect();
    holds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dnabert_tiny/12"), &bases);
}

#[test]
fn a_chunk_has_the_same_scores_whatever_others_it_is_scored_with() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../virpack-model/virpack-mini/classifier_500.safetensors");
    let classifier = Classifier::open(&path).unwrap();
    let width = classifier.input_width();
    let features: Vec<f32> = (0..300 * width).map(|i| (i as f32 * 0.37).sin()).collect();
    let bits = |scores: Vec<[f32; 2]>| scores.into_iter().map(|s| s.map(f32::to_bits)).collect::<Vec<_>>();
    let expected = bits(classifier.scores(&features).unwrap());
    for chunks in [1, 7, 64] {
        let parts = features.chunks(chunks * width).map(|part| bits(classifier.scores(part).unwrap()));
        assert_eq!(parts.collect::<Vec<_>>().concat(), expected, "{chunks} chunks at a time");
    }
}

/// The sizes of real models: several tiles, and more inputs than are packed at a time.
#[test]
fn products_have_the_same_bits_on_any_number_of_threads() {
    let (rows, inputs, outputs) = (530, 1_300, 700);
    let values =
        |count: usize| (0..count).map(|i| (i * 7919 % 4001) as f32 / 4001.0 - 0.5).collect::<Vec<_>>();
    let x = values(rows * inputs);
    let product = |threads: usize, count: usize| -> Vec<u32> {
        let cpu = Cpu::new(NonZeroUsize::new(threads)).unwrap();
        let weight = cpu.matrix(outputs, inputs, values(outputs * inputs)).unwrap();
        let x = cpu.tensor(count, inputs, &x[..count * inputs]).unwrap();
        let y = cpu.product(&x, &weight, None).unwrap();
        cpu.wait(cpu.read(&y).unwrap()).unwrap().iter().map(|v| v.to_bits()).collect()
    };
    let expected = product(1, rows);
    for threads in [1, 2, 7] {
        for count in [1, 3, 30, 257, rows] {
            assert!(
                product(threads, count) == expected[..count * outputs],
                "{threads} threads, {count} rows"
            );
        }
    }
}
