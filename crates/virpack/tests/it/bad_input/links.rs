//! Links, pipes and other users' files under names that virpack uses, as in a folder to which several users
//! can write.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::TWO;
use crate::support::{MODEL, Place, Ran};

const CLASSIFIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/predict/300_model.pth");
/// The longest time of a run; one that waits for the other end of a pipe never ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs, and fails if the run does not end.
fn ends(place: &Place, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("{arguments:?} waits: {said}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ran::from(child.wait_with_output().unwrap())
}

fn embed(place: &Place, more: &[&str]) -> Ran {
    ends(place, &[&["embed", "--model", MODEL, "two.fa", "-o", "out/emb.npy"], more].concat())
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn copied_model(place: &Place) -> Vec<String> {
    let mut names = Vec::new();
    fs::create_dir(place.path("model")).unwrap();
    for entry in fs::read_dir(MODEL).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        fs::copy(entry.path(), place.path(&format!("model/{name}"))).unwrap();
        names.push(name);
    }
    names
}

#[test]
fn a_folder_of_parts_that_is_a_link_is_refused() {
    let place = Place::new();
    place.write("two.fa", TWO).write("theirs/000001.part", "theirs").write("theirs/lock", "1");
    symlink(place.path("theirs"), place.path("out/emb.npy.partial")).unwrap();
    for more in [&[][..], &["--resume"], &["--force"]] {
        embed(&place, more).is_refused(&["out/emb.npy.partial is a symbolic link", "hint: remove the link"]);
    }
    assert_eq!((place.read("theirs/000001.part"), place.read("theirs/lock")), ("theirs".into(), "1".into()));
    fs::create_dir(place.path("verdicts")).unwrap();
    symlink(place.path("theirs"), place.path("verdicts/run.partial")).unwrap();
    place.write("in.fa", ">a\nACGTACGT\n");
    place
        .run(&["predict", "in.fa", "-o", "verdicts", "--force"])
        .is_refused(&["run.partial is a symbolic link"]);
    assert_eq!(place.read("theirs/000001.part"), "theirs");
}

#[test]
fn a_folder_of_parts_of_another_user_is_refused() {
    let place = Place::new();
    place.write("two.fa", TWO).write("out/emb.npy.partial/000001.part", "theirs");
    let folder = place.path("out/emb.npy.partial");
    if fs::metadata(&folder).unwrap().uid() != 0 {
        return eprintln!("skipped: only root can give a folder to another user");
    }
    chown(&folder, Some(65_534), None).unwrap();
    embed(&place, &["--force"]).is_refused(&["belongs to user 65534", "hint: "]);
    assert_eq!(place.read("out/emb.npy.partial/000001.part"), "theirs");
}

#[test]
fn a_lock_that_is_a_link_or_a_pipe_is_refused() {
    let place = Place::new();
    place.write("two.fa", TWO).write("victim", "a long text");
    fs::create_dir(place.path("out/emb.npy.partial")).unwrap();
    let lock = place.path("out/emb.npy.partial/lock");
    let plants: [(&str, &dyn Fn()); 4] = [
        ("it is a symbolic link", &|| symlink(place.path("victim"), &lock).unwrap()),
        ("it is a symbolic link", &|| symlink(place.path("missing"), &lock).unwrap()),
        ("it is one of 2 names", &|| fs::hard_link(place.path("victim"), &lock).unwrap()),
        ("it is a pipe or a device", &|| pipe(&lock)),
    ];
    for (said, plant) in plants {
        plant();
        embed(&place, &[]).is_refused(&["out/emb.npy.partial/lock: ", said, "hint: remove it"]);
        assert_eq!(place.read("victim"), "a long text");
        assert!(!place.path("missing").exists());
        fs::remove_file(&lock).unwrap();
    }
    // Text that is not a number names no process.
    place.write("out/emb.npy.partial/lock", b"\xff\xfe\x00 no text");
    embed(&place, &[]).succeeds(&["2 sequences"]);
    assert_eq!(place.outputs(), ["emb.npy", "emb.npy.records.tsv", "emb.npy.run.json"]);
}

#[test]
fn only_files_of_our_shape_are_removed() {
    let place = Place::new();
    let foreign = [
        "notes.part",
        "12.part",
        "1234567x.part",
        ".theirs.tmp-1",
        ".000001.part.tmp-x",
        "manifest.json.bak",
    ];
    let ours = ["000007.part", "1234567.part", ".000008.part.tmp-12", ".manifest.json.tmp-12-3"];
    place.write("two.fa", TWO);
    for name in foreign.iter().chain(&ours) {
        place.write(&format!("out/emb.npy.partial/{name}"), "text");
    }
    fs::create_dir(place.path("out/emb.npy.partial/000009.part")).unwrap();
    symlink(place.path("two.fa"), place.path("out/emb.npy.partial/000010.part")).unwrap();
    embed(&place, &[]).succeeds(&["2 sequences"]);
    let left = |name: &&str| fs::symlink_metadata(place.path(&format!("out/emb.npy.partial/{name}"))).is_ok();
    assert!(foreign.iter().all(&left));
    assert!(["000009.part", "000010.part"].iter().all(&left));
    assert!(!ours.iter().any(left));
}

#[test]
fn an_output_replaces_no_file_of_the_model() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let files = copied_model(&place);
    let weights = files.iter().find(|name| name.ends_with(".safetensors")).unwrap();
    let before = fs::read(place.path(&format!("model/{weights}"))).unwrap();
    let refused = |output: &str| {
        let arguments = ["embed", "--model", "model", "two.fa", "--format", "npy", "-o", output, "--force"];
        ends(&place, &arguments)
            .is_refused(&["a file of a model that this run uses", "hint: give the output"]);
    };
    refused(&format!("model/{weights}"));
    refused("model/config.json");
    symlink(place.path(&format!("model/{weights}")), place.path("out/link.npy")).unwrap();
    refused("out/link.npy");
    fs::hard_link(place.path(&format!("model/{weights}")), place.path("out/hard.npy")).unwrap();
    refused("out/hard.npy");
    // A table beside the output, too.
    fs::hard_link(place.path("model/config.json"), place.path("out/x.npy.records.tsv")).unwrap();
    refused("out/x.npy");
    assert_eq!(fs::read(place.path(&format!("model/{weights}"))).unwrap(), before);
    // An earlier output in the model's folder is not a file of the model.
    for _ in 0..2 {
        let arguments = ["embed", "--model", "model", "two.fa", "-o", "model/mine.npy", "--force"];
        ends(&place, &arguments).succeeds(&["2 sequences"]);
    }
}

#[test]
fn verdicts_replace_no_classifier_and_no_input() {
    let place = Place::new();
    place.write("in.fa", ">a\nACGTACGTACGT\n").write("verdicts/x", "");
    let refused = |said: &str, arguments: &[&str]| {
        let fixed = ["predict", "in.fa", "-o", "verdicts", "--force"];
        ends(&place, &[&fixed[..], arguments].concat()).is_refused(&[said, "hint: give the output"]);
    };
    fs::hard_link(place.path("in.fa"), place.path("verdicts/viral.fna")).unwrap();
    refused("verdicts/viral.fna is an input too", &[]);
    fs::remove_file(place.path("verdicts/viral.fna")).unwrap();
    fs::copy(CLASSIFIER, place.path("classifier.pth")).unwrap();
    fs::hard_link(place.path("classifier.pth"), place.path("verdicts/chunks.tsv")).unwrap();
    let models = [
        "--protein-model",
        MODEL,
        "--nucleotide-model",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/dnabert_tiny/8"),
        "--classifier",
        "classifier.pth",
    ];
    refused("a file of a model that this run uses", &models);
    assert_eq!(fs::read(place.path("classifier.pth")).unwrap(), fs::read(CLASSIFIER).unwrap());
    let convert = ["models", "convert", "x.safetensors", "x.safetensors", "--force"];
    ends(&place, &["models", "convert", "classifier.pth", "x.safetensors"]).succeeds(&[]);
    ends(&place, &convert).is_refused(&["a file of a model that this run uses"]);
}

#[test]
fn a_pipe_for_a_file_of_a_model_is_refused_and_not_waited_for() {
    for name in ["model.safetensors", "config.json", "pytorch_model.bin"] {
        let place = Place::new();
        place.write("two.fa", TWO);
        copied_model(&place);
        if name == "pytorch_model.bin" {
            fs::remove_file(place.path("model/model.safetensors")).unwrap();
        }
        let _ = fs::remove_file(place.path(&format!("model/{name}")));
        pipe(&place.path(&format!("model/{name}")));
        let ran = ends(&place, &["embed", "--model", "model", "two.fa", "-o", "out/emb.npy"]);
        ran.is_refused(&[&format!("model/{name}"), "a pipe or a device"]);
    }
}
