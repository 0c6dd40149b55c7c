//! `predict` in a process that is killed at random moments and restarted until it has finished: the tables
//! are those of an undisturbed run, and every batch that is run again has a needed sequence that is in no
//! complete part.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::faulty::{Fault, Faulty};
use super::{first_records, shared};
use virpack_core::calls::{CallOptions, Compat};
use virpack_core::model::Location;
use virpack_core::predict::{PredictOptions, predict_on};
use virpack_core::{CancelToken, CheckpointOptions, Error, Event};
use virpack_seq::frames::{ChunkReading, EncoderInput, FrameItem, FrameOptions, Pair, create_frame_loader};
use virpack_seq::{
    Alphabet, BpeTokenizer, CodonTokenizer, CollatorOptions, EsmTokenizer, GreedyPacker, IndexSet,
    LoaderItem, PackerOptions, Tokenizer, VarlenCollator,
};

/// Where a child works, and with which models; without it the child does nothing.
const PLACE: &str = "VIRPACK_TEST_KILL_PREDICT_PLACE";
const MODELS: &str = "VIRPACK_TEST_KILL_PREDICT_MODELS";

const TOKEN_BUDGET: usize = 1_024;
const BUFFER_SIZE: usize = 300;

/// Both models with their classifiers, for chunks of 300 bases.
fn models(name: &str) -> [PathBuf; 4] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = match name {
        "tiny" => [
            "../../fixtures/dnabert_tiny/8",
            "../../examples/esm2_tiny",
            "../../fixtures/predict/300_model.pth",
            "../../fixtures/predict/300_nucleotide_model.pth",
        ],
        _ => [
            "../virpack-model/virpack-mini/nucleotide",
            "../virpack-model/virpack-mini/peptide",
            "../virpack-model/virpack-mini/classifier_300.safetensors",
            // It has none: its classifier is joint.
            "../virpack-model/virpack-mini/nucleotide_classifier_300.safetensors",
        ],
    };
    names.map(|name| root.join(name))
}

fn options(place: &Path, models: &[PathBuf; 4]) -> PredictOptions {
    let [nucleotide, protein, classifier, alone] = models;
    let inputs = vec![place.join("input.fa").into()];
    PredictOptions::new(inputs, [nucleotide, protein], &**classifier, place.join("out"))
        .nucleotide_classifier(alone.exists().then(|| Location::from(&**alone)))
        .length(NonZeroUsize::new(300))
        .checkpoint(CheckpointOptions::default().records(50).every(Duration::from_secs(1)).resume(true))
        .calls(CallOptions::default().compat(Compat::VirNucPro))
        .token_budget(TOKEN_BUDGET)
        .buffer_size(BUFFER_SIZE)
}

#[test]
#[ignore = "a process of its own, which the tests below kill"]
fn child() {
    let [Some(place), Some(name)] = [PLACE, MODELS].map(std::env::var_os) else { return };
    let place = PathBuf::from(place);
    let device = |alphabet: Alphabet| {
        let log = File::options().create(true).append(true).open(log(&place, alphabet));
        let log = Mutex::new(log.unwrap());
        let device = Faulty::new(usize::MAX, move |_, tokens| {
            writeln!(log.lock().unwrap(), "{tokens}").unwrap();
            Fault::None
        });
        vec![Arc::new(device)]
    };
    let options = options(&place, &models(name.to_str().unwrap()));
    predict_on(Pair::ALPHABETS.map(device), &options, &CancelToken::new(), |_| ()).unwrap();
}

fn start(place: &Path, name: &str) -> Child {
    Pair::ALPHABETS.map(|alphabet| _ = fs::remove_file(log(place, alphabet)));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "faults::kill_predict::child"]).stdout(std::process::Stdio::null());
    command.env(PLACE, place).env(MODELS, name).spawn().unwrap()
}

/// The file in which a child records the batches that it has begun with a model.
fn log(place: &Path, alphabet: Alphabet) -> PathBuf {
    place.join(format!("batches of {alphabet:?}"))
}

/// Tokens of the batches that a run has begun with each model, in order.
fn begun(place: &Path) -> Pair<Vec<u64>> {
    Pair::ALPHABETS.map(|alphabet| {
        let log = fs::read_to_string(log(place, alphabet)).unwrap_or_default();
        log.lines().map(|tokens| tokens.parse().unwrap()).collect()
    })
}

/// The contents of the parts that the manifest lists.
#[derive(Default)]
struct Kept {
    chunks: IndexSet,
    /// Sequences of each model.
    embeddings: Pair<IndexSet>,
}

impl Kept {
    fn read(folder: &Path) -> Kept {
        let mut kept = Kept::default();
        let Ok(text) = fs::read(folder.join("manifest.json")) else { return kept };
        let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for part in manifest["parts"].as_array().unwrap() {
            for number in numbers(folder, part) {
                assert!(kept.chunks.insert(number), "chunk {number} is kept twice");
            }
        }
        for number in
            manifest["under_way"].as_object().iter().flat_map(|_| numbers(folder, &manifest["under_way"]))
        {
            let Pair { nucleotide, protein } = &mut kept.embeddings;
            let embeddings = if number % 2 == 0 { nucleotide } else { protein };
            assert!(embeddings.insert(number / 2), "{number} is kept twice");
        }
        kept
    }
}

/// Returns the numbers of the entries of a part.
fn numbers(folder: &Path, part: &serde_json::Value) -> Vec<u64> {
    let bytes = fs::read(folder.join(format!("{:06}.part", part["part"].as_u64().unwrap()))).unwrap();
    assert_eq!(bytes.len() as u64, part["bytes"].as_u64().unwrap());
    let (mut rest, mut numbers) = (&bytes[32..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let [number, length] = [0, 8].map(|at| u64::from_le_bytes(head[at..at + 8].try_into().unwrap()));
        numbers.push(number);
        rest = &behind[length as usize..];
    }
    numbers
}

/// A batch that a run has to do.
struct Batch {
    tokens: u64,
    /// Sequences in it whose embeddings are kept, or are not needed any more.
    again: u64,
}

/// Returns the batches for each model of a run that resumes from what is kept, built by a separate loader.
fn expected(place: &Path, models: &[PathBuf; 4], Kept { chunks, embeddings }: Kept) -> Pair<Vec<Batch>> {
    let (done, known) = (Arc::new(chunks), embeddings.map(Arc::new));
    let is_joint = !models[3].exists();
    let both = Pair { nucleotide: true, protein: true };
    let reading = match is_joint {
        true => ChunkReading::SixFrames,
        false => ChunkReading::OpenFrames { frames: both, strands: true },
    };
    let frames = FrameOptions::new(300.try_into().unwrap())
        .unique_window(BUFFER_SIZE)
        .reading(reading)
        .done(Arc::clone(&done))
        .known(known.clone());
    let file = models[0].join("tokenizer.json");
    let tokenizers: Pair<Arc<dyn Tokenizer>> = Pair {
        nucleotide: match is_joint {
            true => Arc::new(fs::read_to_string(&file).unwrap().parse::<CodonTokenizer>().unwrap()),
            false => Arc::new(BpeTokenizer::open(&file).unwrap()),
        },
        protein: Arc::new(EsmTokenizer::new()),
    };
    let encoders = tokenizers.zip(frames.longest()).map(|(tokenizer, longest)| {
        let packer = PackerOptions::new(TOKEN_BUDGET, longest + 2);
        let options = CollatorOptions::default().buffer_size(BUFFER_SIZE);
        let collator = VarlenCollator::new(GreedyPacker::new(packer).unwrap(), options).unwrap();
        Some(EncoderInput { tokenizer, collator })
    });
    let records = virpack_seq::reader::open(&[place.join("input.fa").into()]).unwrap();
    let loader = create_frame_loader(records, encoders, frames).unwrap();
    let batches = loader.batches().clone().map(|batches| {
        let batches = batches.unwrap();
        std::thread::spawn(move || batches.map(Result::unwrap).collect::<Vec<_>>())
    });
    let mut needed: Pair<HashSet<u64>> = Pair::default();
    for place in loader.items().iter().flat_map(Result::unwrap) {
        let FrameItem::Chunk(chunk) = place else { continue };
        if !done.contains(chunk.number) {
            chunk.whole.sequences().for_each(|(alphabet, number)| _ = needed[alphabet].insert(number));
            for frame in chunk.frames {
                needed.as_mut().zip(frame.sequences).map(|(needed, number)| needed.insert(number));
            }
        }
    }
    batches.zip(needed).zip(known).map(|((batches, mut needed), known)| {
        needed.retain(|number| !known.contains(*number));
        let batch = |loaded| {
            let LoaderItem::Batch(batch) = loaded else { panic!("no frame is skipped") };
            let again = batch.index.iter().filter(|index| !needed.contains(&index.number)).count();
            Batch { tokens: batch.total_tokens() as u64, again: again as u64 }
        };
        batches.join().unwrap().into_iter().map(batch).collect()
    })
}

/// Returns the files by name, without those with times.
fn tables(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut tables: Vec<_> = entries
        .filter(|path| !["run.json", "report.html"].contains(&&*name(path)))
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect();
    tables.sort();
    tables
}

/// Kills `kills` times, each time after up to a `share` of the time of an undisturbed run.
fn kill_and_go_on(text: &str, name: &str, kills: usize, share: f64) {
    let folder = tempfile::tempdir().unwrap();
    let (place, out, models) = (folder.path(), folder.path().join("out"), models(name));
    fs::write(place.join("input.fa"), text).unwrap();
    let partial = out.join("run.partial");
    let begin = Instant::now();
    assert!(start(place, name).wait().unwrap().success());
    let (whole, undisturbed, all) = (begin.elapsed(), tables(&out), begun(place));
    fs::remove_dir_all(&out).unwrap();

    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    eprintln!("{} and {} batches in {whole:?}, seed {seed}", all.nucleotide.len(), all.protein.len());
    let mut random = u64::from(seed);
    let (mut runs, mut batches, mut tokens, mut sequences) = (0, 0, 0, 0);
    for i in 0.. {
        let expected = expected(place, &models, Kept::read(&partial));
        let mut child = start(place, name);
        if i < kills {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(whole.mul_f64(share * (random >> 33) as f64 / (1u64 << 31) as f64));
            // The run may have finished.
            let _ = child.kill();
        }
        let is_done = child.wait().unwrap().success();
        runs += 1;
        for (_, (begun, expected)) in begun(place).zip(expected) {
            let due: Vec<u64> = expected.iter().map(|batch| batch.tokens).collect();
            assert!(begun[..] == due[..begun.len()] && (!is_done || begun.len() == due.len()), "seed {seed}");
            batches += begun.len();
            tokens += begun.iter().sum::<u64>();
            sequences += expected[..begun.len()].iter().map(|batch| batch.again).sum::<u64>();
        }
        // It was killed when only the removal of the folder remained.
        let is_over = out.join("run.json").exists() && !partial.join("manifest.json").exists();
        if is_done || is_over {
            let _ = fs::remove_dir_all(&partial);
            break;
        }
        assert!(i < kills, "a run that was not killed has failed");
    }
    assert_eq!(tables(&out), undisturbed, "seed {seed}");
    let all = all.nucleotide.iter().chain(&all.protein);
    let once: u64 = all.clone().sum();
    eprintln!(
        "{runs} runs, {batches} batches begun, {} again, {:.1} % of all tokens more than once; in them {sequences} sequences \
         that were in whole parts",
        batches - all.count(),
        100.0 * (tokens - once) as f64 / once as f64,
    );
}

/// FASTA of this number of contigs of 1 to 900 bases.
fn contigs(records: usize) -> String {
    let mut state = 5u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let bases: String = (0..9_000).map(|_| ["A", "C", "G", "T", "GCC", "ATG"][next(6)]).collect();
    let contig = |i: usize| {
        let length = 1 + next(900);
        let start = next(bases.len() - length);
        format!(">c{i}\n{}\n", &bases[start..start + length])
    };
    (0..records).map(contig).collect()
}

#[test]
fn the_tiny_models() {
    kill_and_go_on(&contigs(400), "tiny", 4, 0.7);
}

/// Everything that a stopped run has computed is kept, to the last embedding.
#[test]
fn a_run_stopped_many_times_runs_no_batch_twice() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("input.fa"), contigs(300)).unwrap();
    let options = options(folder.path(), &models("tiny"));
    let out = folder.path().join("out");
    // Tokens of the batches begun with each model; the run is stopped as it begins its batch `last`.
    let run = |devices: usize, last: usize| {
        let begun: Pair<Arc<Mutex<Vec<usize>>>> = Pair::default();
        let cancel = CancelToken::new();
        let all = Arc::new(AtomicUsize::new(0));
        let device = |begun: &Arc<Mutex<Vec<usize>>>| {
            let (begun, all, cancel) = (Arc::clone(begun), Arc::clone(&all), cancel.clone());
            Arc::new(Faulty::new(usize::MAX, move |_, tokens| {
                begun.lock().unwrap().push(tokens);
                if all.fetch_add(1, Ordering::Relaxed) == last {
                    cancel.cancel();
                }
                Fault::None
            }))
        };
        let several = |begun: &_| (0..devices).map(|_| device(begun)).collect();
        let result = predict_on(begun.as_ref().map(several), &options, &cancel, |_| ());
        (result, begun.map(|begun| begun.lock().unwrap().clone()))
    };
    let (result, mut undisturbed) = run(1, usize::MAX);
    result.unwrap();
    let whole = tables(&out);
    for devices in [1, 2] {
        fs::remove_dir_all(&out).unwrap();
        let mut together: Pair<Vec<usize>> = Pair::default();
        for last in [0, 3, 17, 1, 40, 5, usize::MAX] {
            let (result, begun) = run(devices, last);
            together.as_mut().zip(begun).map(|(together, begun)| together.extend(begun));
            match result {
                Err(Error::Interrupted { kept: Some(saved) }) => assert!(saved.is_some()),
                result => _ = result.unwrap(),
            }
        }
        if devices > 1 {
            // They are in the order in which the devices take them.
            for tokens in [&mut together, &mut undisturbed] {
                tokens.as_mut().map(|tokens| tokens.sort_unstable());
            }
        }
        assert_eq!(together, undisturbed, "{devices} devices");
        assert_eq!(tables(&out), whole, "{devices} devices");
    }
}

/// The open part, too, which is not full.
#[test]
fn what_was_scored_before_a_device_failed_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("input.fa"), contigs(300)).unwrap();
    let options = options(folder.path(), &models("tiny"));
    let options = options.checkpoint(CheckpointOptions::default().resume(true));
    let out = folder.path().join("out");
    let run = |fault: fn(usize, usize) -> Fault| {
        let device = |_| vec![Arc::new(Faulty::new(usize::MAX, fault))];
        let mut resumed = None;
        let result = predict_on(Pair::ALPHABETS.map(device), &options, &CancelToken::new(), |event| {
            if let Event::Kept(summary) = event {
                resumed = Some(summary.saved.finished);
            }
        });
        (result, resumed.unwrap())
    };
    run(|_, _| Fault::None).0.unwrap();
    let whole = tables(&out);
    fs::remove_dir_all(&out).unwrap();
    let (result, resumed) = run(|batch, _| if batch < 12 { Fault::None } else { Fault::Fails });
    assert!(matches!(result, Err(Error::Device(_))), "{result:?}");
    assert_eq!(resumed, 0);
    let (result, resumed) = run(|_, _| Fault::None);
    assert!(resumed > 0, "nothing was kept");
    assert_eq!(result.unwrap().before.chunks, resumed);
    assert_eq!(tables(&out), whole);
}

/// `cargo test --release -p virpack-core --test it -- --ignored --nocapture the_built_in_model`
#[test]
#[ignore = "needs ../shared, and takes minutes"]
fn the_built_in_model() {
    let Some(data) = shared("data/nucleotide/plant_viruses.fasta.gz") else { return };
    let text = first_records(data, 600);
    kill_and_go_on(&text, "mini", 20, 0.1);
}
