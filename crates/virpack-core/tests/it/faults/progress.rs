//! The progress of `predict`, reported while the first record waits.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::faulty::{Fault, Faulty};
use virpack_core::Progress;
use virpack_core::model::Location;
use virpack_core::predict::{PredictOptions, predict_on};
use virpack_core::{CancelToken, Event};
use virpack_seq::frames::Pair;

/// The longest time between two events: they occur every quarter of a second if the machine is not busy.
const MOST: Duration = Duration::from_millis(900);

#[test]
fn it_is_reported_at_steady_intervals_and_never_falls_while_the_first_record_waits() {
    let place = tempfile::tempdir().unwrap();
    // One record of many chunks: no record has a row before all of them are finished.
    let bases: String = (0..30_000u32)
        .map(|i| char::from(b"ACGT"[(i.wrapping_mul(2_654_435_761) >> 29) as usize % 4]))
        .collect();
    std::fs::write(place.path().join("input.fa"), format!(">genome\n{bases}\n")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [nucleotide, protein, classifier, alone] = [
        "../../fixtures/dnabert_tiny/8",
        "../../examples/esm2_tiny",
        "../../fixtures/predict/300_model.pth",
        "../../fixtures/predict/300_nucleotide_model.pth",
    ]
    .map(|name| root.join(name));
    let options = PredictOptions::new(
        vec![place.path().join("input.fa").into()],
        [&nucleotide, &protein],
        classifier,
        place.path().join("out"),
    )
    .nucleotide_classifier(Location::from(alone))
    .length(NonZeroUsize::new(300))
    .token_budget(1_024)
    .buffer_size(100);
    // The first batch takes two seconds, in which no batch is finished.
    let slow = |first: u64| {
        let device = Faulty::new(usize::MAX, move |batch, _| {
            std::thread::sleep(Duration::from_millis(if batch == 0 { first } else { 60 }));
            Fault::None
        });
        vec![Arc::new(device)]
    };
    let mut told: Vec<(Instant, Progress)> = Vec::new();
    let begun = Instant::now();
    let devices = Pair { nucleotide: slow(2_000), protein: slow(2_000) };
    predict_on(devices, &options, &CancelToken::new(), |event| {
        if let Event::Progress(progress) = event {
            told.push((Instant::now(), progress));
        }
    })
    .unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert!(told.len() as f64 > 1.5 * seconds, "{} events in {seconds} s", told.len());
    for pair in told.windows(2) {
        let [(earlier, before), (later, after)] = pair else { unreachable!() };
        assert!(later.duration_since(*earlier) < MOST, "{:?}", later.duration_since(*earlier));
        let (old, new) = (before.chunks.unwrap(), after.chunks.unwrap());
        assert!(new.chunks >= old.chunks && new.bases >= old.bases && after.done >= before.done, "{pair:?}");
    }
    let waits = told.iter().filter(|(_, progress)| progress.records == 0);
    assert!(waits.clone().count() > 8, "events while nothing is written");
    assert!(
        waits.clone().any(|(_, progress)| progress.chunks.unwrap().chunks > 0),
        "chunks before any record"
    );
    let last = &told.last().unwrap().1;
    assert_eq!((last.records, last.chunks.unwrap().bases, last.done), (1, 30_000, Some(1.0)));
}
