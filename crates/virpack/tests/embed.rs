//! From a file of sequences to rows: each record once, in the order of the input, whatever its length.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use virpack::device::Pool;
use virpack::devices::{DeviceChoice, DeviceOptions};
use virpack::embed::{EmbedOptions, embed, embed_records};
use virpack_seq::{LengthPolicy, LongRecords, Records};

const HIDDEN: usize = 48;

fn on_cpu(threads: usize) -> DeviceOptions {
    DeviceOptions {
        device: DeviceChoice::Cpu,
        threads: NonZeroUsize::new(threads),
        ..DeviceOptions::default()
    }
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny")
}

/// Any sequence of the alphabet's letters, empty ones and unknown letters among them.
fn sequence() -> impl Strategy<Value = String> {
    let letter = prop::sample::select(&b"LAGVSERTIDPKQNFYMHWCBUZOX1"[..]).prop_map(char::from);
    prop_oneof![
        1 => Just(String::new()),
        8 => prop::collection::vec(letter.clone(), 1..30).prop_map(String::from_iter),
        2 => prop::collection::vec(letter, 30..120).prop_map(String::from_iter),
    ]
}

/// The records of one file among several, how long ones are treated, and how batches are made.
fn policy() -> impl Strategy<Value = LengthPolicy> {
    let long = |max_length: usize| {
        prop_oneof![
            Just(LongRecords::Truncate),
            Just(LongRecords::Skip),
            (0..=max_length / 2).prop_map(|overlap| LongRecords::Window { overlap }),
        ]
    };
    (5..60usize, 0..6usize).prop_flat_map(move |(max_length, min_length)| {
        long(max_length).prop_map(move |long_records| LengthPolicy { max_length, min_length, long_records })
    })
}

/// Float32 rows behind the header of a `.npy` file.
fn rows(path: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let values: Vec<f32> =
        bytes[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    values.chunks_exact(HIDDEN).map(<[f32]>::to_vec).collect()
}

/// A record's embedding when it is all there is; nothing where it is skipped.
fn alone(sequence: &str, options: &EmbedOptions) -> Option<Vec<f32>> {
    let records = Records::from_reader("alone", std::io::Cursor::new(format!(">x\n{sequence}\n"))).unwrap();
    let mut all = embed_records(records, options).unwrap();
    assert!(all.len() <= 1);
    all.pop().map(|(_, embedding)| embedding)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn rows_come_in_input_order_one_a_record(
        files in prop::collection::vec(prop::collection::vec(sequence(), 0..60), 1..3),
        lengths in policy(),
        buffer_size in 1..50usize,
        room in 0..200usize,
        packing: bool,
        pool in prop::sample::select(vec![Pool::Mean, Pool::Cls, Pool::Max]),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut inputs = Vec::new();
        for (f, sequences) in files.iter().enumerate() {
            let path = directory.path().join(format!("{f}.fa"));
            let text = sequences.iter().enumerate().fold(String::new(), |mut text, (i, sequence)| {
                writeln!(text, ">{f}_{i}\n{sequence}").unwrap();
                text
            });
            std::fs::write(&path, text).unwrap();
            inputs.push(path.into());
        }
        let output = directory.path().join("emb.npy");
        let options = EmbedOptions {
            lengths,
            buffer_size: Some(buffer_size),
            packing,
            pool: Some(pool),
            token_budget: Some(lengths.max_tokens() + room),
            device: on_cpu(2),
            ..EmbedOptions::new(inputs, &model(), &output)
        };
        let summary = embed(&options, |_| ()).unwrap();

        let ids = std::fs::read_to_string(directory.path().join("emb.ids.txt")).unwrap();
        let ids: Vec<&str> = ids.lines().map(|line| line.split('\t').next().unwrap()).collect();
        let rows = rows(&output);
        let skipped = std::fs::read_to_string(directory.path().join("emb.skipped.tsv")).unwrap_or_default();
        let skipped: Vec<&str> = skipped.lines().skip(1).map(|line| line.split('\t').nth(3).unwrap()).collect();
        let (mut row, mut skip) = (0, 0);
        for (f, sequences) in files.iter().enumerate() {
            for (i, sequence) in sequences.iter().enumerate() {
                let id = format!("{f}_{i}");
                match alone(sequence, &options) {
                    Some(expected) => {
                        prop_assert_eq!(ids[row], &id);
                        for (a, b) in rows[row].iter().zip(&expected) {
                            prop_assert!((a - b).abs() < 1e-5, "{}: {} is not {}", id, a, b);
                        }
                        row += 1;
                    }
                    None => {
                        prop_assert_eq!(skipped[skip], &id);
                        skip += 1;
                    }
                }
            }
        }
        prop_assert_eq!((row, skip), (ids.len(), skipped.len()));
        prop_assert_eq!((row as u64, skip as u64), (summary.written.rows, summary.written.skipped));
    }
}

/// Tensors of a `.safetensors` file in the order of their names, float32.
fn tensors(path: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = tensors.names();
    names.sort();
    let floats = |data: &[u8]| data.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    names.iter().map(|name| floats(tensors.tensor(name).unwrap().data())).collect()
}

#[test]
fn residues_keep_their_rows_in_input_order_and_their_mean_is_the_pooled_row() {
    let directory = tempfile::tempdir().unwrap();
    let letters = "MKTAYIAKQRLLVGGTSPEDWHNCFV".repeat(2);
    let sequences: Vec<&str> = (0..300).map(|i| &letters[i % 5..][..i * 7 % 41]).collect();
    let text = sequences.iter().fold(String::new(), |text, sequence| text + ">same\n" + sequence + "\n");
    let input = directory.path().join("input.fa");
    std::fs::write(&input, text).unwrap();
    let run = |name: &str, pool: Option<Pool>| {
        let output = directory.path().join(name);
        let options = EmbedOptions {
            pool,
            lengths: LengthPolicy { max_length: 30, min_length: 2, long_records: LongRecords::Truncate },
            buffer_size: Some(50),
            token_budget: Some(100),
            device: on_cpu(2),
            ..EmbedOptions::new(vec![input.clone().into()], &model(), &output)
        };
        let summary = embed(&options, |_| ()).unwrap();
        assert_eq!(summary.written.rows + summary.written.skipped, 300);
        output
    };
    let pooled = rows(&run("pooled.npy", Some(Pool::Mean)));
    let tables = tensors(&run("residues.safetensors", None));
    let kept: Vec<usize> =
        sequences.iter().map(|sequence| sequence.len()).filter(|length| *length >= 2).collect();
    assert_eq!((tables.len(), pooled.len()), (kept.len(), kept.len()));
    for ((table, mean), length) in tables.iter().zip(&pooled).zip(kept) {
        assert_eq!(table.len(), length.min(30) * HIDDEN);
        for (i, mean) in mean.iter().enumerate() {
            let column = table.iter().skip(i).step_by(HIDDEN);
            let own = column.map(|v| f64::from(*v)).sum::<f64>() / (table.len() / HIDDEN) as f64;
            assert!((own - f64::from(*mean)).abs() < 1e-5, "{own} is not {mean}");
        }
    }
}

#[test]
fn residues_and_windows_do_not_go_together() {
    let lengths =
        LengthPolicy { long_records: LongRecords::Window { overlap: 8 }, ..LengthPolicy::default() };
    let directory = tempfile::tempdir().unwrap();
    let base = EmbedOptions::new(Vec::new(), &model(), &directory.path().join("emb.h5"));
    let error = EmbedOptions { pool: None, lengths, ..base }.check().unwrap_err();
    assert!(matches!(error, virpack::Error::ResidueWindows), "{error}");
}
