//! From a file of sequences to rows: each record once, in input order, at any length.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use virpack_core::Error;
use virpack_core::device::Pool;
use virpack_core::{CancelToken, Event, Hint};
use virpack_core::{CheckpointOptions, ResumeErrorKind};
use virpack_core::{DeviceChoice, DeviceOptions};
use virpack_core::{EmbedOptions, EmbedSummary, EmbedderOptions, embed};
use virpack_seq::{LengthPolicy, LongRecords, Records};

const HIDDEN: usize = 48;

fn on_cpu(threads: usize) -> DeviceOptions {
    DeviceOptions::default().device(DeviceChoice::Cpu).threads(NonZeroUsize::new(threads))
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny")
}

/// Any sequence of the alphabet's letters, with empty ones and unknown letters.
fn sequence() -> impl Strategy<Value = String> {
    let letter = prop::sample::select(&b"LAGVSERTIDPKQNFYMHWCBUZOXJ"[..]).prop_map(char::from);
    prop_oneof![
        1 => Just(String::new()),
        8 => prop::collection::vec(letter.clone(), 1..30).prop_map(String::from_iter),
        2 => prop::collection::vec(letter, 30..120).prop_map(String::from_iter),
    ]
}

/// The records of one of several files, the policy for long ones, and the options of batches.
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

/// Returns the float32 rows after the header of a `.npy` file.
fn rows(path: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let values: Vec<f32> =
        bytes[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    values.chunks_exact(HIDDEN).map(<[f32]>::to_vec).collect()
}

/// Returns a record's embedding from a run without other records; None if it is skipped.
fn alone(sequence: &str, options: &EmbedderOptions) -> Option<Vec<f32>> {
    let records = Records::from_reader("alone", std::io::Cursor::new(format!(">x\n{sequence}\n"))).unwrap();
    let mut all = crate::in_memory::embed(records, options.clone(), None);
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
        let options = EmbedderOptions::new(&model())
            .lengths(lengths)
            .buffer_size(buffer_size)
            .packing(packing)
            .pool(pool)
            .token_budget(lengths.max_tokens() + room)
            .device(on_cpu(2));
        let run = EmbedOptions::new(inputs, options.clone(), &output);
        let summary = embed(&run, &CancelToken::new(), |_| ()).unwrap();

        let ids = std::fs::read_to_string(directory.path().join("emb.npy.records.tsv")).unwrap();
        let ids: Vec<&str> = ids.lines().skip(1).map(|line| line.split('\t').nth(1).unwrap()).collect();
        let rows = rows(&output);
        let skipped = std::fs::read_to_string(directory.path().join("emb.npy.skipped.tsv")).unwrap_or_default();
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

/// Returns the tensors of a `.safetensors` file in the order of their names, float32.
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
        let embedder = EmbedderOptions::new(&model())
            .pool(pool)
            .lengths(LengthPolicy { max_length: 30, min_length: 2, long_records: LongRecords::Truncate })
            .buffer_size(50)
            .token_budget(100)
            .device(on_cpu(2));
        let options = EmbedOptions::new(vec![input.clone().into()], embedder, &output);
        let summary = embed(&options, &CancelToken::new(), |_| ()).unwrap();
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
    let embedder = EmbedderOptions::new(&model()).pool(None).lengths(lengths);
    let error = EmbedOptions::new(Vec::new(), embedder, directory.path().join("emb.h5")).check().unwrap_err();
    assert!(matches!(&error, Error::Setting(error) if error.setting() == "long_records"), "{error}");
}

#[test]
fn the_report_counts_all_rows_and_goes_with_the_output() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input.fa");
    std::fs::write(&input, ">one\nMKTAYI\n>two\nMKTAYI\n>empty\n\n>long\nMKTAYIAKQRLLVGG\n").unwrap();
    let output = directory.path().join("emb.npy");
    let embedder = EmbedderOptions::new(&model())
        .lengths(LengthPolicy { max_length: 10, ..LengthPolicy::default() })
        .device(on_cpu(1));
    let options = EmbedOptions::new(vec![input.into()], embedder, &output).force(true);
    let page = directory.path().join("emb.npy.report.html");
    let summary = embed(&options.clone().report(true), &CancelToken::new(), |_| ()).unwrap();
    assert!(summary.written.files.contains(&page), "{:?}", summary.written.files);
    let text = std::fs::read_to_string(&page).unwrap();
    for words in [
        "3 rows of 48 values",
        "27 residues or bases in all",
        "1 record (33 %) is truncated",
        "1 row equals an earlier one to the last bit",
        "<code>two</code>",
        "first two principal components",
    ] {
        assert!(text.to_lowercase().contains(&words.to_lowercase()), "{words}: {text}");
    }
    // A page of an older run would describe other rows.
    embed(&options, &CancelToken::new(), |_| ()).unwrap();
    assert!(output.exists() && !page.exists());
}

#[test]
fn a_report_is_of_one_row_a_record_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let options = |name: &str| {
        let output = if name == "-" { name.into() } else { directory.path().join(name) };
        EmbedOptions::new(vec![model().join("config.json").into()], &model(), output).report(true)
    };
    let shard = options("emb.shard").shard("1/2".parse::<virpack_seq::Shard>().unwrap());
    for (options, expected) in [
        (
            options("emb.h5").embedder(EmbedderOptions::new(&model()).pool(None)),
            "there is no report of this output: a record has a row for each residue",
        ),
        (shard, "there is no report of this output: a shard has only some of the rows"),
        (options("-"), "report cannot be used with standard output: it is a file beside the output"),
    ] {
        assert!(options.check().unwrap_err().to_string().contains(expected), "{expected}");
    }
}

// --- runs that are stopped and resumed ---

/// Returns every file in a directory, by name, except the inputs and files that depend on the time.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let outputs = entries.filter(|path| {
        let name = path.to_str().unwrap();
        !name.ends_with(".fa") && !name.ends_with(".run.json")
    });
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let text = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        if !path.to_str().unwrap().ends_with(".report.html") {
            return bytes;
        }
        let page = String::from_utf8(bytes).unwrap();
        let marks = ["<time ", "<dt>Time</dt>", "from a run of "];
        let timed = |line: &&str| marks.iter().any(|mark| line.contains(mark));
        assert_eq!(page.lines().filter(timed).count(), marks.len());
        page.lines().filter(|line| !timed(line)).collect::<Vec<_>>().join("\n").into_bytes()
    };
    outputs.map(|path| (name(&path), text(&path))).collect()
}

/// Stops a run after a number of reported batches, and returns how many records it resumed from.
fn run_until(options: &EmbedOptions, batches: usize) -> (Result<EmbedSummary, Error>, u64) {
    let cancel = CancelToken::new();
    let (mut told, mut resumed) = (0, 0);
    let result = embed(options, &cancel, |what| match what {
        Event::Kept(kept) => resumed = kept.saved.finished,
        Event::Progress(_) => {
            told += 1;
            if told >= batches {
                cancel.cancel();
            }
        }
        _ => (),
    });
    (result, resumed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_run_stopped_anywhere_and_resumed_writes_the_same_files(
        sequences in prop::collection::vec(sequence(), 1..150),
        lengths in policy(),
        buffer_size in 1..50usize,
        room in 0..200usize,
        packing: bool,
        records in 1..40u64,
        stops in prop::collection::vec((1..6usize, 0..4usize, any::<u16>()), 1..8),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("input.fa");
        let text = sequences.iter().enumerate().fold(String::new(), |mut text, (i, sequence)| {
            writeln!(text, ">s{i}\n{sequence}").unwrap();
            text
        });
        std::fs::write(&input, text).unwrap();
        let output = directory.path().join("emb.npy");
        let embedder = EmbedderOptions::new(&model())
            .lengths(lengths)
            .buffer_size(buffer_size)
            .packing(packing)
            .token_budget(lengths.max_tokens() + room)
            .device(on_cpu(2));
        let options = EmbedOptions::new(vec![input.into()], embedder, &output)
            .checkpoint(CheckpointOptions::default().records(records).every(Duration::MAX).resume(true))
            .report(true);
        embed(&options, &CancelToken::new(), |_| ()).unwrap();
        let undisturbed = files(directory.path());
        prop_assert!(!undisturbed.contains_key("emb.npy.partial"));
        prop_assert!(undisturbed.contains_key("emb.npy.report.html"));
        std::fs::remove_file(directory.path().join("emb.npy.run.json")).unwrap();
        undisturbed.keys().for_each(|name| std::fs::remove_file(directory.path().join(name)).unwrap());

        let (mut kept, mut sound) = (0, true);
        for (batches, how, place) in stops {
            let (result, resumed) = run_until(&options, batches);
            prop_assert!(resumed == kept || !sound && resumed < kept, "{} of {} kept", resumed, kept);
            match result {
                Err(Error::Interrupted { kept: now }) => kept = now.map_or(0, |saved| saved.finished),
                result => {
                    result.unwrap();
                    break;
                }
            }
            prop_assert!(kept >= resumed && !output.exists());
            crate::parts::damage(&directory.path().join("emb.npy.partial"), how, place.into());
            sound = how == 0;
        }
        if !output.exists() {
            let summary = embed(&options, &CancelToken::new(), |_| ()).unwrap();
            prop_assert!(summary.resumed == kept || !sound);
        }
        prop_assert_eq!(files(directory.path()), undisturbed);
    }
}

/// Returns the model of [`stopped`].
fn stopped_embedder() -> EmbedderOptions {
    EmbedderOptions::new(&model())
        .buffer_size(10)
        .lengths(LengthPolicy { max_length: 62, ..LengthPolicy::default() })
        .token_budget(100)
        .device(on_cpu(1))
}

/// Returns a run of 60 records that was stopped after its first batch, and its options.
fn stopped(directory: &Path) -> EmbedOptions {
    let input = directory.join("input.fa");
    let text: String =
        (0..60).map(|i| format!(">s{i}\n{}\n", &"MKTAYIAKQRLLVGG".repeat(2)[i % 7..])).collect();
    std::fs::write(&input, text).unwrap();
    let checkpoint = CheckpointOptions::default().records(1).every(Duration::MAX).resume(false);
    let options = EmbedOptions::new(vec![input.into()], stopped_embedder(), directory.join("emb.npy"))
        .checkpoint(checkpoint);
    let (result, _) = run_until(&options, 1);
    let Err(Error::Interrupted { kept: Some(saved) }) = result else { panic!("{result:?}") };
    assert!((1..60).contains(&saved.finished) && saved.folder.ends_with("emb.npy.partial"));
    options.checkpoint(checkpoint.resume(true))
}

#[test]
fn another_run_is_refused_with_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    let options = stopped(directory.path());
    let before = files(&directory.path().join("emb.npy.partial"));
    let refused = |options: EmbedOptions, said: &str| {
        let error = embed(&options, &CancelToken::new(), |_| ()).unwrap_err();
        assert!(matches!(error, Error::Resume(_)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        error.hint().map(Cow::into_owned).unwrap_or_default()
    };
    let with = || options.clone();
    let by = |embedder: EmbedderOptions| options.clone().embedder(embedder);
    let base = stopped_embedder;
    refused(by(base().pool(Pool::Max)), "pooling: mean there, max here");
    refused(by(base().layer(1)), "layer: 2 there, 1 here");
    refused(by(base().packing(false)), "packing: on there, off here");
    refused(by(base().token_budget(128)), "token budget: 100 there, 128 here");
    refused(by(base().buffer_size(11)), "buffer size: 10 there, 11 here");
    let lengths = LengthPolicy { max_length: 20, min_length: 2, long_records: LongRecords::Skip };
    refused(by(base().lengths(lengths)), "long records: truncate there, skip here");
    refused(by(base().lengths(lengths)), "smallest length: 0 there, 2 here");
    let one = directory.path().join("input.fa");
    let text = std::fs::read(&one).unwrap();
    std::fs::write(&one, [&text[..text.len() - 2], b"W\n"].concat()).unwrap();
    refused(with(), "input: ");
    std::fs::write(&one, &text).unwrap();
    let two = directory.path().join("two.fa");
    std::fs::write(&two, ">x\nMKT\n").unwrap();
    refused(with().inputs(vec![one.clone().into(), two.into()]), "input 2: nothing there, ");
    let error = with().inputs(vec!["-".into()]).check().unwrap_err();
    assert!(
        matches!(&error, Error::Resume(error) if matches!(error.kind(), ResumeErrorKind::Pipe(_))),
        "{error}"
    );
    // The caller has not chosen what happens to it.
    let unsaid = with().checkpoint(CheckpointOptions::default());
    let hint = refused(unsaid.clone(), " of a run that was interrupted");
    assert_eq!(hint, "resume it, or replace it and start again");
    assert_eq!(files(&directory.path().join("emb.npy.partial")), before, "it is left as it was");
    // The name of an existing one does not matter.
    let elsewhere = directory.path().join("elsewhere.fa");
    std::fs::rename(&one, &elsewhere).unwrap();
    let (result, resumed) = run_until(&with().inputs(vec![elsewhere.into()]), usize::MAX);
    assert!(resumed > 0 && result.unwrap().written.rows == 60);
}

#[test]
fn force_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    let options = stopped(directory.path());
    let other = options.clone().embedder(stopped_embedder().pool(Pool::Max));
    let forced = other.clone().checkpoint(CheckpointOptions::default()).force(true);
    assert_eq!(embed(&forced, &CancelToken::new(), |_| ()).unwrap().resumed, 0);
    assert!(!directory.path().join("emb.npy.partial").exists());
    // Nothing remains to resume, and the output exists.
    let error = embed(&options, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(
        matches!(&error, Error::Resume(error) if error.kind() == ResumeErrorKind::AnotherOutput),
        "{error}"
    );
    assert!(error.to_string().contains("pooling: max there, mean here"), "{error}");
    let before = files(directory.path());
    let error = embed(&other, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(matches!(&error, Error::Resume(error) if error.kind() == ResumeErrorKind::Complete), "{error}");
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_damaged_manifest_starts_a_new_run_only_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let options = stopped(directory.path());
    let manifest = directory.path().join("emb.npy.partial/manifest.json");
    let text = std::fs::read(&manifest).unwrap();
    for damaged in [&text[..text.len() / 2], b"{}", b""] {
        std::fs::write(&manifest, damaged).unwrap();
        let error = embed(&options, &CancelToken::new(), |_| ()).unwrap_err();
        assert!(
            matches!(&error, Error::Resume(error) if error.kind() == ResumeErrorKind::Manifest),
            "{error}"
        );
    }
    std::fs::write(&manifest, text).unwrap();
    assert!(embed(&options, &CancelToken::new(), |_| ()).unwrap().resumed > 0);
}
