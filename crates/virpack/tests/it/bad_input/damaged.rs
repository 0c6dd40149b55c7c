//! Damaged weights in the Hub's cache: each command that embeds finds them, names them and downloads them again.

use std::path::{Path, PathBuf};

use super::TWO;
use crate::hub::{REPO, Server};
use crate::support::{MODEL, Place, Ran};

/// Runs with the model by its name on the Hub.
fn run(place: &Place, server: &Server, arguments: &[&str], stdin: &[u8]) -> Ran {
    let mut command = place.command(arguments);
    command.env("HF_ENDPOINT", &server.endpoint).env_remove("HF_HUB_OFFLINE");
    place.write("stdin", stdin);
    command.stdin(std::fs::File::open(place.path("stdin")).unwrap());
    Ran::of(command)
}

/// Flips a bit of the last value of the weights, and returns the file in the cache.
fn damage(place: &Place) -> PathBuf {
    let blobs = place.path("cache/hub/models--tiny--esm2/blobs");
    let names = std::fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path());
    let blob = names.max_by_key(|path| path.file_name().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 0x40;
    std::fs::write(&blob, bytes).unwrap();
    blob
}

/// Checks that the run succeeded after one warning that names the file.
#[track_caller]
fn assert_mended(ran: &Ran, blob: &Path) {
    ran.succeeds(&["is damaged, and is downloaded again: the SHA-256 of model.safetensors is "]);
    let warnings: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{ran:#?}");
    assert!(warnings[0].contains(&*blob.to_string_lossy()), "{ran:#?}");
    assert_eq!(std::fs::read(blob).unwrap(), std::fs::read(format!("{MODEL}/model.safetensors")).unwrap());
}

#[test]
fn a_damaged_file_of_the_cache_is_downloaded_again_by_the_run_that_finds_it() {
    let place = Place::new();
    let server = Server::of(Path::new(MODEL), |_, reply| reply);
    let embed = |output: &str| run(&place, &server, &["embed", "-", "--model", REPO, "-o", output], TWO);
    embed("out/first.npy").succeeds(&[]);
    let blob = damage(&place);
    // Standard input can be read once: the second load loses none of it.
    assert_mended(&embed("out/second.npy"), &blob);
    let [first, second] =
        ["first", "second"].map(|name| std::fs::read(place.path(&format!("out/{name}.npy"))));
    assert_eq!(first.unwrap(), second.unwrap());
}

#[test]
fn predict_downloads_a_damaged_file_again_and_offline_names_it() {
    let place = Place::new();
    let server = Server::of(Path::new(MODEL), |_, reply| reply);
    place.write("in.fa", format!(">a\n{}\n", "GCC".repeat(300)));
    let fixture = |name: &str| format!("{}/../../fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let [nucleotides, classifier] = ["dnabert_tiny/8", "predict/300_model.pth"].map(fixture);
    let arguments = ["predict", "in.fa", "--force", "--protein-model", REPO, "-o", "out/p"];
    let with = ["--nucleotide-model", &nucleotides, "--classifier", &classifier];
    let arguments = [&arguments[..], &with].concat();
    run(&place, &server, &arguments, b"").succeeds(&[]);
    let first = place.read("out/p/sequences.tsv");
    let blob = damage(&place);
    assert_mended(&run(&place, &server, &arguments, b""), &blob);
    assert_eq!(place.read("out/p/sequences.tsv"), first);

    damage(&place);
    let damaged = std::fs::read(&blob).unwrap();
    let offline = place.run(&arguments);
    offline.stops(&["damaged: its SHA-256 is ", "hint: unset HF_HUB_OFFLINE to download it again"]);
    assert_eq!(std::fs::read(&blob).unwrap(), damaged, "what cannot be replaced is left alone");
    assert_eq!(place.read("out/p/sequences.tsv"), first);
}
