//! Runs that end before their input does, and the command that resumes them: interrupted, out of disk
//! space, with damaged parts.

mod leftovers;
mod predict;

use crate::support::{MODEL, Place, Ran, program};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// FASTA of this number of proteins of 1 to 90 residues, every ninth empty.
fn proteins(records: usize) -> String {
    let letters = "MKTAYIAKJRLL-GGTSPEDW.NCFV".repeat(5);
    let residues = |i: usize| if i % 9 == 4 { "" } else { &letters[i % 26..][..1 + i * 31 % 90] };
    (0..records).map(|i| format!(">p{i}\n{}\n", residues(i))).collect()
}

/// The arguments of a run on the CPU into `out/NAME`, with many small parts.
fn arguments<'a>(model: &'a str, name: &'a str) -> Vec<&'a str> {
    let fixed = ["embed", "input.fa", "--device", "cpu", "--threads", "2", "--model", model, "-o", name];
    // The real model is slow.
    let records = if model == MODEL { "500" } else { "20" };
    [&fixed[..], &["--checkpoint-records", records]].concat()
}

/// Returns everything in `out/` by name, without the times of a run; for a directory only that it is one.
fn outputs(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().unwrap();
    let tells_times = |name: &str| name.ends_with("run.json") || name == "report.html";
    let files = entries.filter(|entry| !tells_times(&name(entry)));
    files.map(|entry| (name(&entry), std::fs::read(entry.path()).unwrap_or_default())).collect()
}

/// Returns the files of an undisturbed run, which are then removed.
fn undisturbed(place: &Place, model: &str, name: &str) -> BTreeMap<String, Vec<u8>> {
    place.run(&arguments(model, name)).succeeds(&[]);
    let whole = outputs(&place.path("out"));
    place.outputs().iter().for_each(|name| std::fs::remove_file(place.path("out").join(name)).unwrap());
    whole
}

/// Starts a run into the output of that name and waits until it has a part.
fn started(place: &Place, arguments: &[&str], name: &str) -> Child {
    let partial = place.path(&format!("{name}.partial"));
    started_into(place, arguments, &partial)
}

/// The same, with parts in the folder `partial`.
fn started_into(place: &Place, arguments: &[&str], partial: &Path) -> Child {
    let mut command = place.command(arguments);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let manifest = partial.join("manifest.json");
    let begin = Instant::now();
    while !manifest.exists() {
        assert!(begin.elapsed() < Duration::from_secs(300), "no part is closed");
        assert!(child.try_wait().unwrap().is_none(), "it is over");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

fn signal(child: &Child, signal: &str) {
    // The run may have ended.
    let _ = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
}

/// Returns the command that resumes, as the run printed it.
fn said_command(ran: &Ran) -> String {
    let line = ran.stderr.lines().find_map(|line| line.strip_prefix("hint: resume with: "));
    line.unwrap_or_else(|| panic!("no command in {ran:#?}")).to_owned()
}

/// Runs a command as a user does who copies it.
fn run_line(place: &Place, line: &str) -> Ran {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(place.path("")).env("CUDA_VISIBLE_DEVICES", "");
    Ran::of(shell)
}

fn interrupted_and_gone_on_with(place: &Place, model: &str, name: &str, how: &str) {
    let whole = undisturbed(place, model, name);
    let child = started(place, &arguments(model, name), name);
    signal(&child, how);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:#?}");
    assert!(ran.stderr.contains("interrupted: the batches under way are finished and kept"), "{ran:#?}");
    assert!(ran.stderr.contains(&format!("finished records are kept in {name}.partial")), "{ran:#?}");
    let left: Vec<_> = outputs(&place.path("out")).into_keys().collect();
    assert_eq!(left, [format!("{}.partial", name.trim_start_matches("out/"))], "no temporary file");
    let ran = run_line(place, &said_command(&ran));
    ran.succeeds(&["resuming: ", " finished", " finished before)"]);
    assert_eq!(outputs(&place.path("out")), whole, "{how}");
}

#[test]
fn an_interrupted_run_names_the_command_that_resumes_it() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    interrupted_and_gone_on_with(&place, MODEL, "out/it's.npy", "-INT");
    for name in place.outputs() {
        std::fs::remove_file(place.path("out").join(name)).unwrap();
    }
    interrupted_and_gone_on_with(&place, MODEL, "out/emb.parquet", "-TERM");
}

/// Slurm's `--signal`, and the end of a job's CPU time.
#[test]
fn a_scheduler_that_announces_the_end_is_heeded() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    for how in ["-USR1", "-XCPU"] {
        interrupted_and_gone_on_with(&place, MODEL, "out/emb.npy", how);
        for name in place.outputs() {
            std::fs::remove_file(place.path("out").join(name)).unwrap();
        }
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    let child = started(&place, &arguments(MODEL, "out/emb.npy"), "out/emb.npy");
    signal(&child, "-TERM");
    signal(&child, "-INT");
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:#?}");
    place.run(&[&arguments(MODEL, "out/emb.npy")[..], &["--resume"]].concat()).succeeds(&["resuming: "]);
    assert_eq!(
        place.outputs(),
        ["emb.npy", "emb.npy.records.tsv", "emb.npy.run.json", "emb.npy.skipped.tsv"]
    );
}

#[test]
fn where_nothing_is_to_be_resumed_the_run_starts() {
    let place = Place::new();
    place.write("input.fa", proteins(30));
    let again = [&arguments(MODEL, "out/emb.npy")[..], &["--resume"]].concat();
    place.run(&again).succeeds(&["nothing to resume: starting from the beginning", "27 sequences, "]);
    // A script that starts it repeatedly is informed that the output is complete.
    place.run(&again).succeeds(&["the output is complete already: out/emb.npy.run.json describes this run"]);
    // It is informed, too, that a file of the output has been damaged since.
    let whole = std::fs::read(place.path("out/emb.npy")).unwrap();
    place.write("out/emb.npy", "");
    place.run(&again).is_refused(&[
        "out/emb.npy has 0 bytes, and the run that out/emb.npy.run.json describes has written ",
        "hint: choose another name, or replace it with --force",
    ]);
    place.write("out/emb.npy", whole);
    place.run(&[&again[..], &["--pool", "max"]].concat()).is_refused(&[
        "out/emb.npy.run.json describes another run, which is complete:",
        "pooling: mean there, max here",
        "hint: choose another name, or replace it with --force",
    ]);
    place
        .run(&[&again[..], &["--dtype-out", "f16"]].concat())
        .is_refused(&["values: float32 there, float16 here"]);
    place.run(&arguments(MODEL, "out/emb.npy")).is_refused(&["out/emb.npy exists"]);
    std::fs::remove_file(place.path("out/emb.npy.records.tsv")).unwrap();
    place.run(&again).is_refused(&["out/emb.npy exists"]);
    place.embed_stdin(&["-", "-o", "out/in.npy", "--resume"], b">a\nMK\n").is_refused(&[
        "--resume reads the inputs again from their beginning, and <stdin> is a pipe, a device, stdin or a \
         URL",
        "hint: give files",
    ]);
    let both = ["--resume", "--no-checkpoint"];
    place.run(&[&arguments(MODEL, "out/x.npy")[..], &both].concat());
    assert!(!place.path("out/x.npy").exists());
    let none = [&arguments(MODEL, "out/x.npy")[..], &["--no-checkpoint"]].concat();
    place.run(&none).succeeds(&["27 sequences, "]);
}

#[test]
fn a_run_that_another_one_has_is_left_alone() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    let mut child = started(&place, &arguments(MODEL, "out/emb.npy"), "out/emb.npy");
    let second = place.run(&[&arguments(MODEL, "out/emb.npy")[..], &["--resume"]].concat());
    let is_over = child.try_wait().unwrap().is_some();
    assert!(is_over || second.stderr.contains("out/emb.npy.partial is in use by another run"), "{second:#?}");
    assert!(child.wait().unwrap().success());
}

/// A file-size limit acts like a disk that fills: a write fails in the middle.
#[test]
fn a_disk_that_fills_leaves_the_parts() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    let whole = undisturbed(&place, MODEL, "out/emb.npy");
    // The signal is ignored, as some shells leave it, or not: it ends no run, and the write fails.
    let limited = |trap: &str| {
        // 17,778 rows of 192 bytes are 6,667 blocks of 512.
        let line = format!(
            "ulimit -f 4000; {trap} exec {} {}",
            program(),
            arguments(MODEL, "out/emb.npy").join(" ")
        );
        let ran = run_line(&place, &line);
        // On a slow disk a part may exceed it first.
        ran.is_refused(&["cannot write out/emb.npy", "hint: resume with: "]);
        assert_eq!(place.outputs(), ["emb.npy.partial"]);
        ran
    };
    limited("trap '' XFSZ;");
    std::fs::remove_dir_all(place.path("out/emb.npy.partial")).unwrap();
    let ran = limited("");
    place.run(&arguments(MODEL, "out/emb.npy")).is_refused(&[
        "out/emb.npy.partial holds ",
        " finished records of a run that was interrupted",
        "hint: continue with --resume, or start again with --force",
    ]);
    let ran = run_line(&place, &said_command(&ran));
    ran.succeeds(&["resuming: ", " finished before)"]);
    assert_eq!(outputs(&place.path("out")), whole);
}

#[test]
fn damaged_parts_are_named_and_redone() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    let whole = undisturbed(&place, MODEL, "out/emb.npy");
    let child = started(&place, &arguments(MODEL, "out/emb.npy"), "out/emb.npy");
    signal(&child, "-TERM");
    child.wait_with_output().unwrap();
    let part = |number: u32| place.path(&format!("out/emb.npy.partial/{number:06}.part"));
    let mut bytes = std::fs::read(part(1)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(part(1), bytes).unwrap();
    let ran = place.run(&[&arguments(MODEL, "out/emb.npy")[..], &["--resume"]].concat());
    ran.succeeds(&[
        "warning: out/emb.npy.partial/000001.part: its checksum is not the one it was written with: what was in it is \
         computed again",
    ]);
    assert_eq!(outputs(&place.path("out")), whole);
}

// --- shards ---

/// Makes shard `shard`, which is `I/N`, as `out/I.shard`.
fn make_shard(place: &Place, shard: &str, more: &[&str]) -> Ran {
    let name = format!("out/{}.shard", &shard[..1]);
    place.run(&[&arguments(MODEL, &name)[..], &["--shard", shard], more].concat())
}

fn merge(place: &Place, shards: &[&str], name: &str) -> Ran {
    place.run(&[&["merge"], shards, &["-o", name]].concat())
}

const THREE: [&str; 3] = ["out/2.shard", "out/1.shard", "out/3.shard"];

#[test]
fn shards_make_what_a_run_over_all_makes() {
    let place = Place::new();
    place.write("input.fa", proteins(500));
    let whole = undisturbed(&place, MODEL, "out/emb.npy");
    for shard in ["1/3", "2/3", "3/3"] {
        make_shard(&place, shard, &[]).succeeds(&[".shard: 1", " sequences, "]);
    }
    merge(&place, &THREE, "out/emb.npy")
        .succeeds(&["out/emb.npy: 444 sequences of 3 shards, 56 records skipped"]);
    let joined = outputs(&place.path("out"));
    for (name, bytes) in &whole {
        // Batches differ, and so does the last bit of some values.
        assert!(&joined[name] == bytes || name == "emb.npy", "{name}");
    }
    let values = |bytes: &[u8]| -> Vec<f32> {
        bytes[128..].as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
    };
    let (found, expected) = (values(&joined["emb.npy"]), values(&whole["emb.npy"]));
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    // The same shards, in another format.
    merge(&place, &THREE, "out/second.h5").succeeds(&["444 sequences"]);
    let half = ["--dtype-out", "f16"];
    place.run(&[&["merge"], &THREE[..], &["-o", "out/third.parquet"], &half].concat()).succeeds(&[]);
    // More shards than records.
    place.write("input.fa", ">a\nMKT\n");
    for shard in ["1/2", "2/2"] {
        make_shard(&place, shard, &["--force", "--pool", "none"]).succeeds(&[]);
    }
    merge(&place, &THREE[..2], "out/one.safetensors").succeeds(&["1 sequence of 2 shards"]);
    assert!(place.read("out/one.safetensors.records.tsv").ends_with("gaps\n0\ta\t3\tFalse\t0\t0\n"));
}

/// A checkpoint of another version is reported as such; it is neither read as the current format nor called
/// damaged.
#[test]
fn parts_and_shards_of_another_format_are_refused() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    let child = started(&place, &arguments(MODEL, "out/emb.npy"), "out/emb.npy");
    signal(&child, "-TERM");
    child.wait_with_output().unwrap();
    let manifest = "out/emb.npy.partial/manifest.json";
    let text = place.read(manifest);
    assert!(text.contains("\"format\":4"), "{text}");
    place.write(manifest, text.replace("\"format\":4,", ""));
    let again = |option: &str| place.run(&[&arguments(MODEL, "out/emb.npy")[..], &[option]].concat());
    again("--resume").is_refused(&[
        "out/emb.npy.partial holds parts in the format of another version of virpack",
        "hint: resume with the version that made them, or start again with --force",
    ]);
    again("--force").succeeds(&[" sequences, "]);
    let text = [&b"virpack shard 1\n"[..], &[0; 100]].concat();
    place.write("out/old.shard", text);
    merge(&place, &["out/old.shard"], "out/x.npy").is_refused(&[
        "out/old.shard: a shard in the format of another version of virpack",
        "hint: make the shards again with this version",
    ]);
}

#[test]
fn shards_that_do_not_belong_together_are_refused() {
    let place = Place::new();
    place.write("input.fa", proteins(60));
    for shard in ["1/3", "2/3", "3/3"] {
        make_shard(&place, shard, &[]).succeeds(&[]);
    }
    let refused = |shards: &[&str], said: &[&str]| {
        merge(&place, shards, "out/emb.npy").is_refused(said);
        assert!(!place.path("out/emb.npy").exists());
    };
    refused(&THREE[..2], &["of 3 shards these are missing: 3", "hint: name all of them"]);
    let twice = [THREE[0], THREE[1], THREE[1], THREE[2]];
    refused(&twice, &["out/1.shard and out/1.shard are both shard 1/3"]);
    refused(&[THREE[0], "input.fa"], &["input.fa: not a shard", "hint: a shard is what"]);
    refused(&[THREE[0], "absent.shard"], &["cannot read absent.shard: No such file"]);
    let good = std::fs::read(place.path("out/3.shard")).unwrap();
    for end in [good.len() - 1, good.len() / 2, 30] {
        place.write("out/3.shard", &good[..end]);
        refused(&THREE, &["out/3.shard: ", "hint: copy it again, or make it again"]);
    }
    for place_in_it in [good.len() - 3, good.len() - 36, good.len() / 2, good.len() - 60] {
        let mut damaged = good.clone();
        damaged[place_in_it] ^= 1;
        place.write("out/3.shard", damaged);
        refused(&THREE, &["out/3.shard: ", "hint: "]);
    }
    make_shard(&place, "3/3", &["--force", "--pool", "max"]).succeeds(&[]);
    refused(&THREE, &["come from different runs:", "pooling: mean there, max here"]);
    place.write("input.fa", proteins(61));
    make_shard(&place, "3/3", &["--force"]).succeeds(&[]);
    refused(&THREE, &["come from different runs:", "input: ", " there, "]);
    make_shard(&place, "3/4", &["--force"]).succeeds(&[]);
    refused(&THREE, &["come from different runs:", "shards: 3 there, 4 here"]);
}

#[test]
fn a_shard_is_named_as_one() {
    let place = Place::new();
    place.write("input.fa", proteins(30));
    let run = |name: &str, more: &[&str]| place.run(&[&arguments(MODEL, name)[..], more].concat());
    run("out/emb.npy", &["--shard", "1/2"]).is_refused(&[
        "out/emb.npy would pass for all rows, and has those of shard 1/2",
        "hint: name it NAME.shard; `virpack merge` joins all shards to any format",
    ]);
    run("out/a.shard", &[]).is_refused(&[
        "out/a.shard: a name that ends in .shard is for one shard of an input",
        "hint: `virpack embed --shard I/N`",
    ]);
    run("out/a.shard", &["--shard", "1/2", "--dtype-out", "f16"]).is_refused(&["a shard holds float32"]);
    place.embed_stdin(&["-", "-o", "out/a.shard", "--shard", "1/2"], b">a\nMK\n").is_refused(&["is a pipe"]);
    for shard in ["0/2", "3/2", "1", "a/b", "1/0"] {
        let ran = run("out/a.shard", &["--shard", shard]);
        assert!(ran.stderr.contains("expected I/N, with I from 1 to N"), "{ran:#?}");
    }
    assert_eq!(place.outputs(), [""; 0]);
}

#[test]
fn a_stopped_shard_resumes() {
    let place = Place::new();
    place.write("input.fa", proteins(20_000));
    let with = |shard| [&arguments(MODEL, "out/1.shard")[..], &["--shard", shard]].concat();
    place.run(&with("1/2")).succeeds(&[]);
    let whole = outputs(&place.path("out"));
    place.outputs().iter().for_each(|name| std::fs::remove_file(place.path("out").join(name)).unwrap());
    let child = started(&place, &with("1/2"), "out/1.shard");
    signal(&child, "-TERM");
    let ran = Ran::from(child.wait_with_output().unwrap());
    let other = place.run(&[&with("2/2")[..], &["--resume"]].concat());
    other.is_refused(&["holds parts of another run:", "shard: 1/2 there, 2/2 here"]);
    run_line(&place, &said_command(&ran)).succeeds(&["resuming: "]);
    assert_eq!(outputs(&place.path("out")), whole);
}

// --- the real 8M model ---

/// Returns the real model and `records` real proteins as `input.fa`; None, with a message, if they are
/// missing.
fn real(records: usize) -> Option<(Place, String)> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let model = shared.join("models/esm2_t6_8M_finetuned");
    let data = shared.join("data/proteins/uniprot_20k.fasta.gz");
    if !model.exists() || !data.exists() {
        eprintln!("skipped: no {} or {}", model.display(), data.display());
        return None;
    }
    let place = Place::new();
    let mut text = String::new();
    let mut reader = flate2::read::MultiGzDecoder::new(std::fs::File::open(data).unwrap());
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    let end = text.match_indices("\n>").nth(records - 1).map_or(text.len(), |(at, _)| at + 1);
    place.write("input.fa", &text[..end]);
    Some((place, model.canonicalize().unwrap().to_str().unwrap().to_owned()))
}

/// `cargo test --release -p virpack --test it -- --ignored --nocapture real`
#[test]
#[ignore = "needs ../shared, and takes minutes"]
fn the_real_model_is_interrupted_at_twenty_moments() {
    let Some((place, model)) = real(150) else { return };
    for name in ["out/emb.npy", "out/emb.parquet"] {
        let begin = Instant::now();
        let whole = undisturbed(&place, &model, name);
        let time = begin.elapsed();
        let mut again = arguments(&model, name);
        again.push("--resume");
        let (mut random, mut stopped) = (u64::from(std::process::id()), 0);
        for _ in 0..20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let child = place.command(&again).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(time.mul_f64(0.08 * (random >> 33) as f64 / (1u64 << 31) as f64));
            signal(&child, "-TERM");
            let ran = Ran::from(child.wait_with_output().unwrap());
            if ran.code == Some(0) {
                break;
            }
            assert_eq!(ran.code, Some(130), "{ran:#?}");
            stopped += 1;
        }
        if !place.path(name).exists() {
            place.run(&again).succeeds(&["resuming: "]);
        }
        assert_eq!(outputs(&place.path("out")), whole);
        eprintln!("{name}: stopped {stopped} times, the same bytes");
        place.outputs().iter().for_each(|name| std::fs::remove_file(place.path("out").join(name)).unwrap());
    }
}

/// A disk of limited size that is removed with the value; None, with a message, if none can be made.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, bytes: u64) -> Option<SmallDisk> {
        let options = format!("size={bytes}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&path).status();
        if !mount.is_ok_and(|status| status.success()) {
            eprintln!("skipped: a tmpfs cannot be mounted here");
            return None;
        }
        Some(SmallDisk(path))
    }

    fn grow(&self, bytes: u64) {
        let options = format!("remount,size={bytes}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// `cargo test --release -p virpack --test it -- --ignored --nocapture real`
#[test]
#[ignore = "needs ../shared and the right to mount a tmpfs, and takes minutes"]
fn the_real_model_on_a_full_disk() {
    let Some((place, model)) = real(150) else { return };
    for name in ["out/emb.npy", "out/emb.parquet"] {
        let whole = undisturbed(&place, &model, name);
        let bytes: u64 = whole.values().map(|bytes| bytes.len() as u64).sum();
        // Room for two thirds of the output, or of the parts.
        let Some(disk) = SmallDisk::mount(place.path("out"), bytes) else { return };
        let ran = place.run(&arguments(&model, name));
        ran.is_refused(&["No space left on device", "hint: resume with: "]);
        let kept = place.run(&[&arguments(&model, name)[..], &["--resume"]].concat());
        assert!(kept.code == Some(1) && kept.stderr.contains("No space left on device"), "{kept:#?}");
        disk.grow(4 * bytes);
        let ran = run_line(&place, &said_command(&ran));
        ran.succeeds(&["resuming: "]);
        assert_eq!(outputs(&place.path("out")), whole);
        eprintln!("{name}: full, full again, then the same bytes: {}", ran.stderr.trim_end());
    }
}
