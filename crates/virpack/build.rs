//! Sets the commit of the build, for `virpack --version`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A package from crates.io has no repository, but a file that names the commit.
    let packaged = std::fs::read_to_string(".cargo_vcs_info.json").ok();
    let packaged = packaged.and_then(|text| Some(text.split_once("\"sha1\": \"")?.1.get(..9)?.to_owned()));
    let commit = packaged.or_else(|| git(&["rev-parse", "--short=9", "HEAD"]));
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = commit.map_or_else(|| version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=VIRPACK_VERSION={version}");
    // Another commit changes the branch that HEAD names.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD".to_owned(), "packed-refs".to_owned()].into_iter().chain(branch) {
        let path = git(&["rev-parse", "--git-path", &name]).filter(|path| Path::new(path).exists());
        if let Some(path) = path {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// Returns git's output; None if git fails or is missing, or if the repository is not this project's.
fn git(arguments: &[&str]) -> Option<String> {
    let run = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    run(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
    run(arguments)
}
