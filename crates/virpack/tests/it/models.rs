//! `virpack models` and `virpack devices`: lists and facts for people and for programs, and downloads
//! beforehand.

use std::path::Path;

use crate::hub::{REPO, Server};
use crate::support::{MODEL, Place, Ran};
use serde_json::Value;

const PROTEIN: &str = ">p\nMKTLLVAGGPEDWNC\n";

fn json(ran: &Ran) -> Value {
    ran.succeeds(&[]);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn lists_and_facts_are_json_where_that_is_asked_for() {
    let place = Place::new();
    let models = json(&place.run(&["models", "list", "--json"]));
    let of = |name: &str| models.as_array().unwrap().iter().find(|model| model["name"] == name).unwrap();
    let large = of("esm2_t36_3B_UR50D");
    assert_eq!((&large["short_name"], &large["layers"]), (&"esm2-3B".into(), &36.into()));
    assert_eq!(of("zhihan1996/DNABERT-S")["reads"], "DNA");
    assert_eq!(of("virpack-mini/peptide")["cached"], "built in");
    for name in ["650M", "esm2-650m", "esm2_t33_650M_UR50D", "facebook/esm2_t33_650M_UR50D"] {
        let facts = json(&place.run(&["models", "info", name, "--json"]));
        assert_eq!((&facts["hidden"], &facts["parameters"]), (&1280.into(), &649_400_320.into()), "{name}");
    }
    let bundle = json(&place.run(&["models", "info", "virpack-mini", "--json"]));
    assert_eq!(bundle["classifiers"].as_array().unwrap().len(), 2, "{bundle}");
    let devices = json(&place.run(&["devices", "--json"]));
    assert_eq!((&devices[0]["device"], &devices[0]["usable"]), (&"cpu".into(), &true.into()));
    assert!(devices[0]["threads"].as_u64().unwrap() > 0, "{devices}");
}

#[test]
fn a_fetched_model_runs_offline() {
    let place = Place::new();
    place.write("p.fa", PROTEIN);
    let server = Server::of(Path::new(MODEL), |_, reply| reply);
    let mut fetch = place.command(&["models", "fetch", "virpack-mini", REPO]);
    fetch.env("HF_ENDPOINT", &server.endpoint).env_remove("HF_HUB_OFFLINE");
    let ran = Ran::of(fetch);
    ran.succeeds(&[]);
    let lines: Vec<_> = ran.stdout.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(lines[0], ("virpack-mini", "built in"));
    assert_eq!(lines[1].0, REPO);
    assert!(Path::new(lines[1].1).join("model.safetensors").exists(), "{lines:?}");
    // `Place` sets HF_HUB_OFFLINE.
    place.run(&["embed", "p.fa", "--model", REPO, "-o", "out/p.npy"]).succeeds(&["1 sequence"]);
    let offline = place.run(&["models", "fetch", "8M"]);
    offline.is_refused(&["facebook/esm2_t6_8M_UR50D is neither a local path nor in the cache", "hint: "]);
}

#[test]
fn a_path_without_a_model_is_not_fetched() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    place.run(&["models", "fetch", "empty"]).is_refused(&["empty", "hint: "]);
    let fetched = place.run(&["models", "fetch", MODEL]);
    fetched.succeeds(&[]);
    assert_eq!(fetched.stdout, format!("{MODEL}\t{MODEL}\n"));
}

#[test]
fn a_directory_of_a_short_name_is_a_directory() {
    let place = Place::new();
    place.write("p.fa", PROTEIN);
    let named = place.run(&["embed", "p.fa", "--model", "8M", "-o", "out/p.npy"]);
    named.is_refused(&["esm2_t6_8M_UR50D"]);
    for file in ["config.json", "model.safetensors"] {
        place.write(&format!("8M/{file}"), std::fs::read(Path::new(MODEL).join(file)).unwrap());
    }
    place.run(&["embed", "p.fa", "--model", "8M", "-o", "out/p.npy"]).succeeds(&["1 sequence"]);
    let told: Value = serde_json::from_str(&place.read("out/p.npy.run.json")).unwrap();
    assert_eq!(told["model"]["name"], "8M", "{told}");
}

#[test]
fn completions_offer_models_and_devices() {
    let place = Place::new();
    let zsh = place.run(&["completions", "zsh"]).stdout;
    for value in ["esm2-650M", "dnabert-s", "esm2_t33_650M_UR50D", "cuda\\:all", "prot"] {
        assert!(zsh.contains(value), "{value}");
    }
}
