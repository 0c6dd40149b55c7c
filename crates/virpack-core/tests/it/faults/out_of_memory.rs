//! A device that runs out of memory: batches are halved, and every row exists and is right.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::faulty::{Fault, Faulty};
use virpack_core::DeviceEvent;
use virpack_core::Error;
use virpack_core::device::DeviceError;
use virpack_core::{CancelToken, Event, Hint};
use virpack_core::{DeviceChoice, DeviceOptions};
use virpack_core::{EmbedOptions, EmbedderOptions, embed, embed_on};
use virpack_seq::{LengthPolicy, LongRecords};

/// Sequences of 3 to 62 residues, 200 of them.
fn input(folder: &Path) -> PathBuf {
    let path = folder.join("records.fasta");
    let residues = |i: usize| "LAGVSERTIDPKQNFYMHWC".repeat(4)[i % 7..][..3 + i * 37 % 60].to_owned();
    std::fs::write(&path, (0..200).map(|i| format!(">s{i}\n{}\n", residues(i))).collect::<String>()).unwrap();
    path
}

fn options(folder: &Path, output: &str) -> EmbedOptions {
    with_lengths(folder, output, LengthPolicy { max_length: 62, ..LengthPolicy::default() })
}

fn with_lengths(folder: &Path, output: &str, lengths: LengthPolicy) -> EmbedOptions {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    let embedder = EmbedderOptions::new(&model)
        .lengths(lengths)
        .token_budget(2_048)
        .device(DeviceOptions::default().device(DeviceChoice::Cpu));
    EmbedOptions::new(vec![input(folder).into()], embedder, folder.join(output))
}

/// Has room for `room` tokens when a run begins, and for `later` after `batches` batches.
fn scarce(room: usize, later: usize, batches: usize) -> Arc<Faulty> {
    let fault = move |batch, tokens| match batch >= batches && tokens > later {
        true => Fault::NoRoom,
        false => Fault::None,
    };
    Arc::new(Faulty::new(room, fault))
}

fn values(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Embeds on `device`: the reported budgets fall to one that fits and no further than necessary, and every
/// row equals that of a device with enough memory.
#[track_caller]
fn every_row_is_right(device: Arc<Faulty>, lengths: LengthPolicy) {
    let folder = tempfile::tempdir().unwrap();
    let with = |output: &str| with_lengths(folder.path(), output, lengths);
    let mut budgets = Vec::new();
    let summary = embed_on(vec![Arc::clone(&device)], &with("scarce.npy"), &CancelToken::new(), |what| {
        if let Event::Device(DeviceEvent::Halved { token_budget, reason, .. }) = what {
            assert!(reason.contains("no room"), "{reason}");
            budgets.push(token_budget);
        }
    });
    assert_eq!(summary.unwrap().written.rows, 200);
    assert!(budgets.is_sorted_by(|a, b| a > b), "{budgets:?}");
    assert!((250..=600).contains(budgets.last().unwrap()), "{budgets:?}");
    embed(&with("roomy.npy"), &CancelToken::new(), |_| ()).unwrap();
    let (scarce, roomy) =
        (values(&folder.path().join("scarce.npy")), values(&folder.path().join("roomy.npy")));
    assert_eq!(scarce.len(), roomy.len());
    assert!(scarce.iter().zip(&roomy).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(device.largest.load(Ordering::Relaxed) <= 2_048);
}

fn whole() -> LengthPolicy {
    LengthPolicy { max_length: 62, ..LengthPolicy::default() }
}

#[test]
fn at_the_start() {
    let device = scarce(600, usize::MAX, 0);
    every_row_is_right(Arc::clone(&device), whole());
    assert!(device.largest.load(Ordering::Relaxed) <= 600);
}

#[test]
fn in_the_middle_of_a_run() {
    for batches in 0..3 {
        every_row_is_right(scarce(usize::MAX, 600, batches), whole());
    }
}

#[test]
fn with_windows_of_long_records() {
    let long_records = LongRecords::Window { overlap: 5 };
    let lengths = LengthPolicy { max_length: 40, long_records, ..LengthPolicy::default() };
    every_row_is_right(scarce(usize::MAX, 600, 1), lengths);
}

#[test]
fn a_device_without_room_for_one_sequence_is_an_error() {
    for device in [scarce(10, usize::MAX, 0), scarce(usize::MAX, 10, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let error = embed_on(vec![device], &options(folder.path(), "out.npy"), &CancelToken::new(), |_| ())
            .unwrap_err();
        assert!(matches!(error, Error::Device(DeviceError::OutOfMemory { .. })), "{error}");
        assert!(error.hint().unwrap().contains("smaller batches"), "{error:?}");
        assert!(!folder.path().join("out.npy").exists());
    }
}
