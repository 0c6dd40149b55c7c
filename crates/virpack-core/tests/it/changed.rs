//! Inputs that change during a run: nothing is published, and nothing is kept of bytes that were not
//! hashed.

use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use virpack_core::CheckpointOptions;
use virpack_core::Error;
use virpack_core::predict::{PredictOptions, predict};
use virpack_core::{CancelToken, Event};
use virpack_core::{DeviceChoice, DeviceOptions};
use virpack_core::{EmbedOptions, EmbedderOptions, embed};
use virpack_core::{FramesOptions, frames};
use virpack_core::{MergeOptions, merge};
use virpack_seq::reader::Change;
use virpack_seq::{InputError, LengthPolicy, SeqError};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn write(path: &Path, records: usize, letters: &str) {
    let text: String = (0..records).map(|i| format!(">r{i}\n{}\n", letters.repeat(1 + i % 3))).collect();
    fs::write(path, text).unwrap();
}

fn append(path: &Path) {
    File::options().append(true).open(path).unwrap().write_all(b">more\nACGT\n").unwrap();
}

/// Changes letters in the last record; size and modification time stay.
fn replace_a_letter(path: &Path) {
    let modified = path.metadata().unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - 2;
    bytes[at] = if bytes[at] == b'A' { b'C' } else { b'A' };
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(&bytes).unwrap();
    file.set_modified(modified).unwrap();
}

fn device() -> DeviceOptions {
    DeviceOptions::default().device(DeviceChoice::Cpu).threads(NonZeroUsize::new(2))
}

fn embed_options(input: &Path, output: &Path) -> EmbedOptions {
    with_lengths(input, output, LengthPolicy::default())
}

fn with_lengths(input: &Path, output: &Path, lengths: LengthPolicy) -> EmbedOptions {
    let model = path("../../examples/esm2_tiny");
    let checkpoint = Some(CheckpointOptions::default().records(200));
    let embedder = EmbedderOptions::new(&model).lengths(lengths).device(device());
    let embedder = embedder.buffer_size(100).token_budget(2048);
    EmbedOptions::new(vec![input.to_owned().into()], embedder, output).checkpoint(checkpoint)
}

fn predict_options(input: &Path, output: &Path) -> PredictOptions {
    let [models, classifier] = [
        [path("../../fixtures/dnabert_tiny/8"), path("../../examples/esm2_tiny")],
        [path("../../fixtures/predict/300_model.pth"), PathBuf::new()],
    ];
    let options =
        PredictOptions::new(vec![input.to_owned().into()], [&models[0], &models[1]], &*classifier[0], output);
    options.device(device())
}

/// Returns how the input has changed.
#[track_caller]
fn change<T: std::fmt::Debug>(result: Result<T, Error>, input: &Path) -> Change {
    match result {
        Err(Error::Seq(SeqError::Input(InputError::Changed { path, change }))) => {
            assert_eq!(path, input);
            change
        }
        other => panic!("{other:?}"),
    }
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Parts that a manifest lists.
fn listed(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("manifest.json")).unwrap_or_default();
    text.matches("\"part\":").count()
}

#[test]
fn no_part_is_listed_once_the_input_has_changed() {
    let place = tempfile::tempdir().unwrap();
    let [input, output] = ["in.fa", "out.npy"].map(|name| place.path().join(name));
    let folder = place.path().join("out.npy.partial");
    // More than is read ahead, of which little is computed.
    write(&input, 8_000, &"MKTAYIAKQR".repeat(100));
    let lengths = LengthPolicy { max_length: 40, ..LengthPolicy::default() };
    let mut then = None;
    let result = embed(&with_lengths(&input, &output, lengths), &CancelToken::new(), |told| {
        if matches!(told, Event::Progress(_)) && then.is_none() && listed(&folder) > 0 {
            append(&input);
            // Only a part that was already being listed is there.
            std::thread::sleep(Duration::from_millis(300));
            then = Some(listed(&folder));
        }
    });
    assert!(matches!(change(result, &input), Change::Size { .. }));
    assert!(then.is_some_and(|then| then < 40), "{then:?}");
    assert_eq!(Some(listed(&folder)), then);
    assert_eq!(names(place.path()), ["in.fa", "out.npy.partial"]);
}

#[test]
fn what_was_read_is_what_was_hashed_or_nothing_is_published() {
    for shard in [None, Some("1/2".parse().unwrap())] {
        let place = tempfile::tempdir().unwrap();
        let input = place.path().join("in.fa");
        let output = place.path().join(if shard.is_some() { "out.shard" } else { "out.npy" });
        write(&input, 500, "MKTAYIAKQR");
        // The hash of a shard is known before the device is reported, that of another output soon after.
        let options = embed_options(&input, &output).shard(shard);
        let result = embed(&options, &CancelToken::new(), |told| {
            if matches!(told, Event::Ready { .. }) {
                std::thread::sleep(Duration::from_millis(300));
                replace_a_letter(&input);
            }
        });
        let Change::Content { hashed, read } = change(result, &input) else { panic!("{shard:?}") };
        assert_ne!(hashed, read);
        // Kept parts would belong to either version.
        assert_eq!(names(place.path()), ["in.fa"]);
        // The same without checkpoints: what is written is what was read.
        let checkpoint = None;
        if shard.is_none() {
            embed(&options.checkpoint(checkpoint), &CancelToken::new(), |_| ()).unwrap();
        }
    }
}

#[test]
fn predict_publishes_nothing_of_an_input_that_changed() {
    let place = tempfile::tempdir().unwrap();
    let [input, output] = ["in.fa", "out"].map(|name| place.path().join(name));
    write(&input, 300, &"ATGGCCTTAGGCAACGTACGATGCC".repeat(13));
    let run = |change: &dyn Fn(&Path)| {
        predict(&predict_options(&input, &output), &CancelToken::new(), |told| {
            if matches!(told, Event::Ready { .. }) {
                std::thread::sleep(Duration::from_millis(300));
                change(&input);
            }
        })
    };
    assert!(matches!(change(run(&append), &input), Change::Size { .. }));
    assert!(!output.exists());
    assert!(matches!(change(run(&replace_a_letter), &input), Change::Content { .. }));
    assert!(!output.exists());
    let touch = |path: &Path| {
        let later = SystemTime::now() + Duration::from_secs(1);
        File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
    };
    assert!(matches!(change(run(&touch), &input), Change::Written { .. }));
    assert!(!output.exists());
    run(&|_| ()).unwrap();
}

#[test]
fn frames_of_a_file_that_is_cut_are_not_published() {
    let place = tempfile::tempdir().unwrap();
    let input = place.path().join("in.fa");
    write(&input, 5_000, &"ATGGCCTTAGGCAACGTACGATGCC".repeat(5));
    let options = FramesOptions::new(vec![input.clone().into()], place.path().join("out"))
        .length(NonZeroUsize::new(100).unwrap());
    let mut cut = false;
    let result = frames(&options, |_| {
        if !std::mem::replace(&mut cut, true) {
            File::options().write(true).open(&input).unwrap().set_len(600_000).unwrap();
        }
    });
    assert!(matches!(change(result, &input), Change::Size { to: 600_000, .. }));
    assert_eq!(names(place.path()), ["in.fa"]);
}

#[test]
fn shards_of_unlike_inputs_do_not_merge() {
    let place = tempfile::tempdir().unwrap();
    let input = place.path().join("in.fa");
    let shards = ["1/2", "2/2"].map(|shard| {
        write(&input, 50, if shard == "1/2" { "MKTAYIAKQR" } else { "MKTAYIAKQL" });
        let output = place.path().join(format!("{}.shard", &shard[..1]));
        let shard = Some(shard.parse().unwrap());
        embed(&embed_options(&input, &output).shard(shard), &CancelToken::new(), |_| ()).unwrap();
        output
    });
    let options = MergeOptions::new(shards.to_vec(), place.path().join("all.npy"));
    let message = merge(&options).unwrap_err().to_string();
    assert!(message.contains("come from different runs") && message.contains("input: "), "{message}");
}
