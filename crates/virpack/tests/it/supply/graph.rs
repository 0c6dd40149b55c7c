//! The crates in the output of `cargo metadata`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The platform of the graph, so that crates of other platforms need not be downloaded.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// A crate that does not belong to virpack.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) licence: Option<String>,
    pub(crate) folder: PathBuf,
    /// Whether its code is in the binary or the wheel, and not only in the build or the tests.
    pub(crate) is_linked: bool,
}

/// Returns all crates that do not belong to virpack, by name and version; None, with a message, if cargo
/// cannot list them without a network.
pub(crate) fn packages(root: &Path) -> Option<Vec<Package>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", PLATFORM]);
    let output = cargo.current_dir(root).output().unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // Anything else is a failure, such as an outdated lock file or an option that does not exist any
        // more.
        assert!(said.contains("--offline") || said.contains("download"), "{said}");
        eprintln!("skipped: crates of {PLATFORM} are not downloaded: {said}");
        return None;
    }
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let linked = linked(&json);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let all = json["packages"].as_array().unwrap().iter().filter(|package| !package["source"].is_null());
    let mut all: Vec<Package> = all
        .map(|package| Package {
            name: text(&package["name"]).unwrap(),
            version: text(&package["version"]).unwrap(),
            licence: text(&package["license"]),
            folder: Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned(),
            is_linked: linked.contains(package["id"].as_str().unwrap()),
        })
        .collect();
    all.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Some(all)
}

/// Returns the ids of virpack's run-time dependencies, without those of build scripts, tests and macros.
fn linked(json: &Value) -> HashSet<&str> {
    let packages = json["packages"].as_array().unwrap();
    let is_macro = |package: &Value| {
        let kinds =
            package["targets"].as_array().unwrap().iter().flat_map(|target| target["kind"].as_array());
        kinds.flatten().any(|kind| kind == "proc-macro")
    };
    let macros: HashSet<&str> = packages
        .iter()
        .filter(|package| is_macro(package))
        .filter_map(|package| package["id"].as_str())
        .collect();
    let nodes = json["resolve"]["nodes"].as_array().unwrap();
    let nodes: HashMap<&str, &Value> =
        nodes.iter().map(|node| (node["id"].as_str().unwrap(), node)).collect();
    // The program, and the wheel, which has the same notices.
    let first = |name: &str| packages.iter().find(|package| package["name"] == name).unwrap()["id"].as_str();
    let (mut found, mut next) =
        (HashSet::new(), ["virpack", "virpack-python"].map(|n| first(n).unwrap()).to_vec());
    while let Some(id) = next.pop() {
        if macros.contains(id) || !found.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                next.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    found
}
