//! Several devices, some of which fail or hang: no row is lost, duplicated or wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::faulty::{Fault, Faulty};
use proptest::prelude::*;
use virpack_core::DeviceEvent;
use virpack_core::Error;
use virpack_core::device::Cpu;
use virpack_core::{CancelToken, CheckpointOptions, Event};
use virpack_core::{EmbedOptions, EmbedderOptions, embed_on};
use virpack_seq::{LengthPolicy, LongRecords};

/// Records of 3 to 62 residues, and every seventh of about 150.
fn options(folder: &Path, records: usize) -> EmbedOptions {
    let path = folder.join("records.fasta");
    let length = |i: usize| if i % 7 == 3 { 100 + i % 99 } else { 3 + i * 37 % 60 };
    let residues = |i: usize| "LAGVSERTIDPKQNFYMHWC".repeat(12)[i % 7..][..length(i)].to_owned();
    std::fs::write(&path, (0..records).map(|i| format!(">s{i}\n{}\n", residues(i))).collect::<String>())
        .unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    let embedder = EmbedderOptions::new(&model)
        .lengths(LengthPolicy {
            max_length: 62,
            long_records: LongRecords::Window { overlap: 9 },
            ..LengthPolicy::default()
        })
        .token_budget(256)
        .device_timeout(Duration::from_millis(1_500));
    EmbedOptions::new(vec![path.into()], embedder, folder.join("out.npy"))
}

fn values(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Returns the results of one CPU without faults for the same records.
fn expected(records: usize) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let cpu = Arc::new(Cpu::new(None).unwrap());
    embed_on(vec![cpu], &options(folder.path(), records), &CancelToken::new(), |_| ()).unwrap();
    values(&folder.path().join("out.npy"))
}

/// Devices, each with the batch from which on it has a fault, if it has one.
fn run(records: usize, faults: &[Option<(usize, Fault)>]) -> (Result<Vec<f32>, Error>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let device = |fault: &Option<(usize, Fault)>| {
        let fault = *fault;
        Arc::new(Faulty::new(usize::MAX, move |batch, _| match fault {
            Some((from, fault)) if batch >= from => fault,
            _ => Fault::None,
        }))
    };
    let mut lost = Vec::new();
    let done = embed_on(
        faults.iter().map(device).collect(),
        &options(folder.path(), records),
        &CancelToken::new(),
        |told| match told {
            Event::Device(DeviceEvent::Lost { device, .. }) => lost.push(device),
            Event::Device(DeviceEvent::Halved { .. }) => panic!("no device lacks room here"),
            _ => (),
        },
    );
    let done = done.map(|summary| {
        assert_eq!(summary.written.rows, records as u64);
        let tallied: u64 = summary.devices.iter().map(|(_, tally)| tally.tokens).sum();
        assert_eq!(tallied, summary.tokens, "each token once");
        values(&folder.path().join("out.npy"))
    });
    if done.is_err() {
        assert!(!folder.path().join("out.npy").exists());
    }
    (done, lost)
}

#[track_caller]
fn is_right(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn two_good_devices_share_the_work() {
    let (found, lost) = run(400, &[None, None]);
    is_right(&found.unwrap(), &expected(400));
    assert!(lost.is_empty());
}

#[test]
fn a_device_that_hangs_is_given_up() {
    let (found, lost) = run(200, &[Some((1, Fault::Hangs)), None]);
    is_right(&found.unwrap(), &expected(200));
    assert_eq!(lost, [0]);
}

#[test]
fn the_run_fails_when_no_device_is_left() {
    let (found, lost) = run(200, &[Some((0, Fault::Fails)), Some((2, Fault::Refuses))]);
    assert!(matches!(found, Err(Error::Device(_))), "{found:?}");
    assert!(lost.len() <= 1);
    let (found, _) = run(200, &[Some((0, Fault::Hangs))]);
    assert!(matches!(found, Err(Error::Hung { device: 0, .. })), "{found:?}");
}

#[test]
fn a_run_on_eight_devices_resumes_from_all_that_it_had_finished() {
    // Four threads write their parts.
    let folder = tempfile::tempdir().unwrap();
    let keep = CheckpointOptions::default().records(5).resume(true);
    let options = options(folder.path(), 600).checkpoint(keep);
    let (mut finished, mut stops) = (0, 0);
    loop {
        let devices = (0..8).map(|_| Arc::new(Faulty::new(usize::MAX, |_, _| Fault::None))).collect();
        let (cancel, mut batches, mut resumed) = (CancelToken::new(), 0, None);
        let done = embed_on(devices, &options, &cancel, |event| match event {
            Event::Kept(summary) => resumed = Some(summary),
            Event::Progress(_) => {
                batches += 1;
                // The first batches hold windows, of which a record has several: few records end with them.
                if batches == 30 * (stops + 1) {
                    cancel.cancel();
                }
            }
            _ => (),
        });
        let resumed = resumed.unwrap();
        assert_eq!((resumed.saved.finished, resumed.torn.len()), (finished, 0));
        match done {
            Err(Error::Interrupted { kept }) => {
                let kept = kept.unwrap().finished;
                assert!(kept >= finished, "{kept}");
                (finished, stops) = (kept, stops + 1);
            }
            done => {
                assert_eq!(done.unwrap().resumed, finished);
                break;
            }
        }
    }
    assert!(stops > 1 && finished > 0, "{stops} stops, {finished} records");
    is_right(&values(&folder.path().join("out.npy")), &expected(600));
}

#[test]
fn what_was_finished_before_the_last_device_was_lost_is_kept() {
    // No part is full, and four threads have one open.
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), 600).checkpoint(CheckpointOptions::default().resume(true));
    let run = |fault: fn(usize, usize) -> Fault| {
        let devices = (0..8).map(|_| Arc::new(Faulty::new(usize::MAX, fault))).collect();
        let mut resumed = None;
        let done = embed_on(devices, &options, &CancelToken::new(), |event| {
            if let Event::Kept(summary) = event {
                resumed = Some(summary.saved.finished);
            }
        });
        (done, resumed.unwrap())
    };
    let (done, resumed) = run(|batch, _| if batch < 12 { Fault::None } else { Fault::Fails });
    assert!(matches!(done, Err(Error::Device(_))), "{done:?}");
    assert_eq!(resumed, 0);
    let (done, resumed) = run(|_, _| Fault::None);
    assert!(resumed > 0, "nothing was kept");
    assert_eq!(done.unwrap().resumed, resumed);
    is_right(&values(&folder.path().join("out.npy")), &expected(600));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_faults_but_for_one_good_device(
        faults in prop::collection::vec(
            prop::option::of((0usize..12, prop::sample::select(&[Fault::Refuses, Fault::Fails][..]))), 0..4,
        ),
        good in 0usize..4,
        records in 1usize..120,
    ) {
        let mut faults = faults;
        faults.insert(good.min(faults.len()), None);
        let (found, lost) = run(records, &faults);
        is_right(&found.unwrap(), &expected(records));
        prop_assert!(lost.iter().all(|device| faults[*device].is_some()));
    }
}
