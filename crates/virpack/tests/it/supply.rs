//! The crates from which virpack is built: their sources, their licences, and the notices that are
//! distributed with the binary.
//!
//! `deny.toml` lists the allowed licences and sources, and `cargo deny check` reads it too.
//! `dev/notices.sh` writes NOTICES.txt again.

mod graph;
mod notices;
mod spdx;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use graph::{Package, packages};
use spdx::is_allowed;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the strings of a list in deny.toml, between `NAME = [` and `]`.
fn listed(name: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let (_, list) =
        text.split_once(&format!("\n{name} = [")).unwrap_or_else(|| panic!("no {name} in deny.toml"));
    let list = list.split_once(']').unwrap().0;
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_crate_comes_from_a_registry_that_is_allowed() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let allowed: Vec<String> =
        listed("allow-registry").iter().map(|url| format!("source = \"registry+{url}\"")).collect();
    let sources: Vec<&str> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
    assert!(sources.len() > 200, "{} sources", sources.len());
    for source in &sources {
        assert!(allowed.iter().any(|allowed| allowed == source), "{source} is not allowed by deny.toml");
    }
    // A crate from a registry has a checksum, which identifies its bytes.
    assert_eq!(lock.matches("\nchecksum = \"").count(), sources.len());
}

#[test]
fn every_licence_is_allowed() {
    let Some(packages) = packages(&root()) else { return };
    let allowed = listed("allow");
    assert!(packages.len() > 150, "{} packages", packages.len());
    for Package { name, version, licence, .. } in &packages {
        let licence = licence.as_deref().unwrap_or_default();
        assert!(is_allowed(licence, &allowed), "{name} {version}: {licence:?} is not allowed by deny.toml");
    }
}

#[test]
fn the_notices_are_current() {
    let Some(packages) = packages(&root()) else { return };
    let linked: Vec<Package> = packages.into_iter().filter(|package| package.is_linked).collect();
    let text = notices::of(&linked);
    let path = root().join("NOTICES.txt");
    if std::env::var_os("VIRPACK_WRITE_NOTICES").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    let differs = there.lines().zip(text.lines()).position(|(there, here)| there != here);
    assert!(there == text, "NOTICES.txt is not current from line {differs:?}: run dev/notices.sh");
}
