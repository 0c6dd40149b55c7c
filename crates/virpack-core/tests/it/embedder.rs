//! A model that is loaded once returns the bits of a run to a file, in order, in every call, and leaves
//! nothing behind.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use virpack_core::device::Pool;
use virpack_core::seq::{
    InputError, LengthPolicy, LongRecords, Record, Records, SeqError, SkipReason, reader,
};
use virpack_core::{
    CancelToken, DeviceChoice, DeviceOptions, EmbedOptions, Embedder, EmbedderOptions, Embeddings, Error,
    Event, embed,
};

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny")
}

fn options() -> EmbedderOptions {
    let cpu = DeviceOptions::default().device(DeviceChoice::Cpu).threads(NonZeroUsize::new(2));
    // Small batches, which finish out of order.
    EmbedderOptions::new(&model()).device(cpu).token_budget(1_100).buffer_size(40)
}

fn embedder(options: EmbedderOptions) -> Embedder {
    Embedder::new(options, |_| ()).unwrap()
}

/// Records of many lengths, empty ones and one letter among them.
fn sequences() -> Vec<(String, String)> {
    let letters = b"LAGVSERTIDPKQNFYMHWC";
    let length = |i: usize| if i % 50 == 49 { 650 } else { i * 37 % 180 };
    let residue = |i: usize, j: usize| char::from(letters[(i * 7 + j * j + j * (i % 5)) % 20]);
    (0..150).map(|i| (format!("s{i}"), (0..length(i)).map(|j| residue(i, j)).collect())).collect()
}

fn fasta() -> String {
    sequences().iter().fold(String::new(), |mut text, (id, letters)| {
        writeln!(text, ">{id}\n{letters}").unwrap();
        text
    })
}

/// The same records, in memory.
fn records() -> Records {
    Records::from_records("sequences", sequences().into_iter().map(|(id, letters)| Record::new(id, letters)))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn rows(rows: usize) -> NonZeroUsize {
    NonZeroUsize::new(rows).unwrap()
}

#[test]
fn values_are_the_bytes_that_a_run_writes() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.fa");
    std::fs::write(&input, fasta()).unwrap();
    let windows =
        LengthPolicy { max_length: 300, min_length: 0, long_records: LongRecords::Window { overlap: 40 } };
    let cases = [
        options(),
        options().pool(Pool::Max).layer(1),
        options().lengths(windows).pool(Pool::Cls),
        options().packing(false),
    ];
    for (i, options) in cases.into_iter().enumerate() {
        let output = folder.path().join(format!("{i}.npy"));
        let run = EmbedOptions::new(vec![input.clone().into()], &model(), &output).embedder(options.clone());
        let summary = embed(&run, &CancelToken::new(), |_| ()).unwrap();
        let written = std::fs::read(&output).unwrap();
        let embedder = embedder(options);
        let from_file = embedder.embed(reader::open(&[input.clone().into()]).unwrap()).unwrap();
        assert_eq!(from_file.rows.len() as u64, summary.written.rows);
        assert!(bytes(&from_file.values) == written[128..], "case {i}, of the file");
        let from_memory = embedder.embed(records()).unwrap();
        assert!(bytes(&from_memory.values) == written[128..], "case {i}, of memory");
        assert_eq!(from_memory.rows, from_file.rows);
        // The loaded model also writes that file, and the table beside it.
        let again = folder.path().join(format!("{i}_again.npy"));
        let run = EmbedOptions::new(vec![input.clone().into()], "left aside", &again);
        let summary_again = embedder.write(&run, &CancelToken::new(), |_| ()).unwrap();
        assert_eq!(std::fs::read(&again).unwrap(), written);
        assert_eq!(summary_again.report["model"]["sha256"], summary.report["model"]["sha256"]);
        let of_memory = folder.path().join(format!("{i}_memory.npy"));
        let run = EmbedOptions::new(Vec::new(), "left aside", &of_memory);
        embedder.write_records(records(), &run, &CancelToken::new(), |_| ()).unwrap();
        assert_eq!(std::fs::read(&of_memory).unwrap(), written);
        let table =
            |output: &Path| std::fs::read_to_string(format!("{}.records.tsv", output.display())).unwrap();
        assert_eq!(table(&of_memory), table(&output));
        assert_eq!(table(&again), table(&output));
    }
}

#[test]
fn a_complete_output_is_not_computed_again_and_no_file_of_the_model_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.fa");
    std::fs::write(&input, ">a\nMKTLLV\n").unwrap();
    let embedder = embedder(options());
    let output = folder.path().join("emb.npy");
    let run = EmbedOptions::new(vec![input.into()], "left aside", &output);
    embedder.write(&run, &CancelToken::new(), |_| ()).unwrap();
    let resume = run.clone().checkpoint(virpack_core::CheckpointOptions::default().resume(true));
    let error = embedder.write(&resume, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(
        matches!(&error, Error::Resume(error) if error.kind() == virpack_core::ResumeErrorKind::Complete),
        "{error}"
    );
    // As `embed` does: by the identity, which has the checksums of the loaded model.
    let other = self::embedder(options().layer(0));
    let error = other.write(&resume, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("layer"), "{error}");
    let weights = model().join("model.safetensors");
    let run = run.output(&weights).force(true).format(virpack_core::output::OutputFormat::Safetensors);
    let error = embedder.write(&run, &CancelToken::new(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("a file of a model that this run uses"), "{error}");
}

#[test]
fn pieces_come_in_order_whatever_their_size() {
    let embedder = embedder(options());
    let whole = embedder.embed(records()).unwrap();
    assert_eq!((whole.rows.len() + whole.skipped.len(), whole.skipped.len()), (150, 1));
    assert!(whole.skipped.iter().all(|record| record.reason == SkipReason::Empty));
    for size in [1, 7, 100, 149, 1_000] {
        let stream = embedder.stream(records(), rows(size), &CancelToken::new()).unwrap();
        let pieces: Vec<Embeddings> = stream.map(Result::unwrap).collect();
        let (last, full) = pieces.split_last().unwrap();
        assert!(full.iter().all(|piece| piece.rows.len() == size) && last.rows.len() <= size, "{size}");
        let values: Vec<f32> = pieces.iter().flat_map(|piece| piece.values.clone()).collect();
        assert!(values == whole.values, "{size}");
        assert_eq!(pieces.iter().flat_map(|piece| piece.rows.clone()).collect::<Vec<_>>(), whole.rows);
        assert_eq!(pieces.iter().flat_map(|piece| piece.skipped.clone()).collect::<Vec<_>>(), whole.skipped);
    }
    let all = embedder.stream(records(), rows(7), &CancelToken::new()).unwrap().all().unwrap();
    assert_eq!(all, whole);
    let none = embedder.embed(Records::from_records("none", [])).unwrap();
    assert!(none.rows.is_empty() && none.values.is_empty() && none.hidden == whole.hidden);
}

#[test]
fn a_record_keeps_its_residues_together_and_their_mean_is_its_embedding() {
    let pooled = embedder(options()).embed(records()).unwrap();
    let embedder = embedder(options().pool(None));
    let hidden = embedder.hidden_size();
    let whole = embedder.embed(records()).unwrap();
    assert_eq!(whole.rows, pooled.rows);
    for ((row, values), (_, mean)) in whole.iter().zip(pooled.iter()) {
        assert_eq!(values.len(), row.length as usize * hidden, "{}", row.id);
        for (i, expected) in mean.iter().enumerate() {
            let sum: f64 = values.iter().skip(i).step_by(hidden).map(|value| f64::from(*value)).sum();
            let mean = sum / row.length as f64;
            assert!((mean - f64::from(*expected)).abs() < 1e-5, "{} of {}: {mean}, {expected}", i, row.id);
        }
    }
    // A piece has at most this number of rows, unless a single record has more.
    for piece in embedder.stream(records(), rows(200), &CancelToken::new()).unwrap() {
        let piece = piece.unwrap();
        let residues: usize = piece.residues.as_ref().unwrap().iter().sum();
        assert_eq!(residues * hidden, piece.values.len());
        assert!(residues <= 200 || piece.rows.len() == 1, "{residues}");
    }
}

#[test]
fn a_second_call_opens_no_file_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("model");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(model()).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let moved = EmbedderOptions::new(&copy).device(DeviceOptions::default().device(DeviceChoice::Cpu));
    let embedder = embedder(moved);
    let first = embedder.embed(records()).unwrap();
    std::fs::remove_dir_all(&copy).unwrap();
    assert_eq!(embedder.embed(records()).unwrap(), first);
    // It holds no file open.
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open = open.filter_map(|file| std::fs::read_link(file.path()).ok());
    let held: Vec<PathBuf> = open.filter(|path| path.starts_with(&copy)).collect();
    assert!(held.is_empty(), "{held:?}");
    // It has no file mapped.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    assert!(!maps.contains(copy.to_str().unwrap()));
}

#[test]
fn an_error_comes_after_what_was_before_it_and_ends_the_stream() {
    let given = (0..100).map(|i| Record::new(format!("{i}"), if i == 90 { "MK1" } else { "MKTLLVAGST" }));
    let embedder = embedder(options().buffer_size(1).packing(false));
    let mut stream =
        embedder.stream(Records::from_records("sequences", given), rows(10), &CancelToken::new()).unwrap();
    let mut records = 0;
    let error = loop {
        match stream.next().unwrap() {
            Ok(piece) => records += piece.rows.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(records, 90);
    let place = matches!(&error, Error::Seq(SeqError::Input(InputError::StrayByte { record: 91, .. })));
    assert!(place, "{error}");
    assert!(stream.next().is_none());
    // The model can still be used.
    assert_eq!(embedder.embed(Records::from_records("one", [Record::new("a", "MK")])).unwrap().rows.len(), 1);
}

/// An endless iterator of records that counts how many were requested.
fn endless(made: &Arc<AtomicU64>) -> Records {
    let made = Arc::clone(made);
    let make = move |i: u64| {
        made.fetch_add(1, Ordering::Relaxed);
        Record::new(i.to_string(), "MKTLLVAGST".repeat(20))
    };
    Records::from_records("endless", (0..).map(make))
}

#[test]
fn a_stream_without_end_is_bounded_cancelled_and_dropped() {
    let embedder = embedder(options());
    let (made, cancel) = (Arc::default(), CancelToken::new());
    let mut stream = embedder.stream(endless(&made), rows(10), &cancel).unwrap();
    for _ in 0..5 {
        assert_eq!(stream.next().unwrap().unwrap().rows.len(), 10);
    }
    cancel.cancel();
    let end = stream.find_map(Result::err).unwrap();
    assert!(matches!(end, Error::Interrupted { kept: None }), "{end}");
    assert!(stream.next().is_none());
    // Blocks, a buffer and a few batches are read ahead.
    let ahead = made.load(Ordering::Relaxed);
    assert!(ahead < 30_000, "{ahead} records were read");
    drop(embedder.stream(endless(&made), rows(10), &CancelToken::new()).unwrap());
    // The threads of a dropped stream release their records.
    let begin = std::time::Instant::now();
    while Arc::strong_count(&made) > 1 {
        drop(stream);
        assert!(begin.elapsed().as_secs() < 20, "the threads of a dropped stream go on");
        std::thread::sleep(std::time::Duration::from_millis(10));
        stream = embedder.stream(Records::from_records("none", []), rows(1), &CancelToken::new()).unwrap();
    }
}

#[test]
fn threads_share_it() {
    let embedder = embedder(options());
    let whole = embedder.embed(records()).unwrap();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| embedder.embed(records()).unwrap())).collect();
        for call in calls {
            assert_eq!(call.join().unwrap(), whole);
        }
    });
}

#[test]
fn it_reports_what_it_is_and_how_far_it_is() {
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let embedder = Embedder::new(options(), |event| events.lock().unwrap().push(event)).unwrap();
    let ready = std::mem::take(&mut *events.lock().unwrap());
    assert!(matches!(&ready[..], [Event::Ready { budgets, .. }] if budgets[0].tokens == 1_100), "{ready:?}");
    assert_eq!((embedder.token_budget(), embedder.hidden_size(), embedder.max_length()), (1_100, 48, 1022));
    assert!(embedder.devices()[0].starts_with("CPU") && embedder.sha256().len() == 64);
    let told = Arc::clone(&events);
    let stream = embedder.stream(records(), rows(100), &CancelToken::new()).unwrap();
    stream.on_event(move |event| told.lock().unwrap().push(event)).all().unwrap();
    let last = events.lock().unwrap().pop();
    assert!(matches!(&last, Some(Event::Progress(progress)) if progress.records == 150), "{last:?}");
}

#[test]
fn options_that_do_not_fit_are_refused_before_anything_is_loaded() {
    let refused = |options: EmbedderOptions| Embedder::new(options, |_| ()).unwrap_err();
    let windows =
        LengthPolicy { max_length: 300, min_length: 0, long_records: LongRecords::Window { overlap: 40 } };
    let setting = |options| match refused(options) {
        Error::Setting(error) => error.setting(),
        other => panic!("{other}"),
    };
    assert_eq!(setting(EmbedderOptions::new("no/model").pool(None).lengths(windows)), "long_records");
    let small = EmbedderOptions::new("no/model").token_budget(10);
    assert!(matches!(refused(small), Error::Seq(SeqError::BudgetTooSmall { .. })));
    assert_eq!(setting(options().layer(99)), "layer");
    assert!(matches!(refused(EmbedderOptions::new("virpack-mini")), Error::Model(_)));
}
