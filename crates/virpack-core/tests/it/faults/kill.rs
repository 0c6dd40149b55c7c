//! A process that is killed at random moments and restarted until it has finished: the files are those of
//! an undisturbed run, and no batch of a complete part is run again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::faulty::{Fault, Faulty};
use super::{first_records, shared};
use virpack_core::CancelToken;
use virpack_core::CheckpointOptions;
use virpack_core::{EmbedOptions, EmbedderOptions, embed_on};

/// Where a child works, with which model and format; without it the child does nothing.
const PLACE: &str = "VIRPACK_TEST_KILL_PLACE";
const MODEL: &str = "VIRPACK_TEST_KILL_MODEL";
const FORMAT: &str = "VIRPACK_TEST_KILL_FORMAT";

/// What a run has begun, and which records were in complete parts before it.
struct Run {
    /// Tokens of the batches that it began, in order.
    batches: Vec<u64>,
    kept: u64,
}

#[test]
#[ignore = "a process of its own, which the tests below kill"]
fn child() {
    let [Some(place), Some(model), Some(format)] = [PLACE, MODEL, FORMAT].map(std::env::var_os) else {
        return;
    };
    let place = PathBuf::from(place);
    let log = Mutex::new(File::options().create(true).append(true).open(place.join("batches")).unwrap());
    let device = Faulty::new(usize::MAX, move |_, tokens| {
        writeln!(log.lock().unwrap(), "{tokens}").unwrap();
        Fault::None
    });
    let output = place.join("out").join("emb").with_extension(format);
    let embedder = EmbedderOptions::new(Path::new(&model)).token_budget(1_024).buffer_size(200);
    let options = EmbedOptions::new(vec![place.join("input.fa").into()], embedder, &output)
        .checkpoint(CheckpointOptions::default().records(10).every(Duration::from_secs(1)).resume(true));
    embed_on(vec![Arc::new(device)], &options, &CancelToken::new(), |_| ()).unwrap();
}

fn start(place: &Path, model: &Path, format: &str) -> Child {
    let _ = fs::remove_file(place.join("batches"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "faults::kill::child"]).stdout(std::process::Stdio::null());
    command.env(PLACE, place).env(MODEL, model).env(FORMAT, format).spawn().unwrap()
}

/// Tokens of the records in the parts that the manifest lists.
fn kept_tokens(folder: &Path) -> u64 {
    let Ok(text) = fs::read(folder.join("manifest.json")) else { return 0 };
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let mut tokens = 0;
    for part in manifest["parts"].as_array().unwrap() {
        let path = folder.join(format!("{:06}.part", part["part"].as_u64().unwrap()));
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes.len() as u64, part["bytes"].as_u64().unwrap());
        let mut rest = &bytes[32..];
        while !rest.is_empty() {
            let long = |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().unwrap());
            // A number and bytes, in which the record's length is the second value.
            tokens += long(24).min(1022) + 2;
            rest = &rest[16 + long(8) as usize..];
        }
    }
    tokens
}

/// Returns the files of an output by name, without the times of a run.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = entries.filter(|path| !path.to_str().unwrap().ends_with(".run.json"));
    let mut files: Vec<_> = files.map(|path| (name(&path), fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

/// Kills `kills` times, each time after up to a `share` of the time of an undisturbed run.
fn kill_and_go_on(text: &str, model: &Path, format: &str, kills: usize, share: f64) {
    let folder = tempfile::tempdir().unwrap();
    let (place, out) = (folder.path(), folder.path().join("out"));
    fs::write(place.join("input.fa"), text).unwrap();
    let output = out.join("emb").with_extension(format);
    let partial = out.join("emb").with_extension(format!("{format}.partial"));
    let batches = || -> Vec<u64> {
        let log = fs::read_to_string(place.join("batches")).unwrap_or_default();
        log.lines().map(|tokens| tokens.parse().unwrap()).collect()
    };
    fs::create_dir(&out).unwrap();
    let begin = Instant::now();
    assert!(start(place, model, format).wait().unwrap().success());
    let (whole, undisturbed, all) = (begin.elapsed(), files(&out), batches());
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();

    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    eprintln!("{format}: {} batches in {whole:?}, seed {seed}", all.len());
    let mut random = u64::from(seed);
    let mut runs: Vec<Run> = Vec::new();
    for i in 0.. {
        let kept = kept_tokens(&partial);
        let mut child = start(place, model, format);
        if i < kills {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let moment = (random >> 33) as f64 / (1u64 << 31) as f64;
            std::thread::sleep(whole.mul_f64(share * moment));
            // The run may have finished.
            let _ = child.kill();
        }
        let is_done = child.wait().unwrap().success();
        runs.push(Run { batches: batches(), kept });
        // It was killed when only the removal of the folder remained.
        let is_over = output.exists() && !partial.join("manifest.json").exists();
        if is_done || is_over {
            let _ = fs::remove_dir_all(&partial);
            break;
        }
        assert!(i < kills, "a run that was not killed has failed");
    }
    assert_eq!(files(&out), undisturbed, "seed {seed}");
    let total: u64 = all.iter().sum();
    let last = runs.last().unwrap();
    assert_eq!(last.batches.iter().sum::<u64>() + last.kept, total, "seed {seed}");
    for pair in runs.windows(2) {
        // Batches are in order: those kept are the first ones, and the next run begins after them.
        let mut left = pair[1].kept - pair[0].kept;
        let mut rest = &pair[0].batches[..];
        while left > 0 {
            left = left.checked_sub(rest[0]).expect("parts hold whole batches");
            rest = &rest[1..];
        }
        let shared = rest.len().min(pair[1].batches.len());
        assert_eq!(rest[..shared], pair[1].batches[..shared], "seed {seed}");
    }
    let begun: usize = runs.iter().map(|run| run.batches.len()).sum();
    eprintln!(
        "{format}: {} runs, {begun} batches begun, {} again, all outside whole parts",
        runs.len(),
        begun - all.len()
    );
}

#[test]
fn the_tiny_model() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/esm2_tiny");
    let residues = |i: usize| "LAGVSERTIDPKQNFYMHWC".repeat(9)[i % 7..][..1 + i * 37 % 170].to_owned();
    let text: String = (0..1_000).map(|i| format!(">s{i}\n{}\n", residues(i))).collect();
    for format in ["npy", "parquet"] {
        kill_and_go_on(&text, &model, format, 3, 0.7);
    }
}

/// `cargo test --release -p virpack-core --test it -- --ignored --nocapture the_real_8m_model`
#[test]
#[ignore = "needs ../shared, and takes minutes"]
fn the_real_8m_model() {
    let files = shared("models/esm2_t6_8M_finetuned").zip(shared("data/proteins/uniprot_20k.fasta.gz"));
    let Some((model, data)) = files else { return };
    let text = first_records(data, 300);
    for format in ["npy", "parquet"] {
        kill_and_go_on(&text, &model, format, 20, 0.06);
    }
}
