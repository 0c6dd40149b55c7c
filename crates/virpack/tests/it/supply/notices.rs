//! The text of NOTICES.txt: each crate in the binary with its licence, and each licence's text once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::Package;

/// The names of licence files.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"];

/// Parts of the names of licence files that are alternatives to MIT.
const OTHERS: [&str; 5] = ["APACHE", "UNLICENSE", "ZLIB", "BSL", "0BSD"];

/// Returns the notices of these crates.
pub(crate) fn of(packages: &[Package]) -> String {
    let mut text =
        "The binary `virpack` and the Python wheel contain the crates below, under these licences; \
         their texts follow.\n\
                    dev/notices.sh writes this file; it holds for x86-64 Linux.\n\n"
            .to_owned();
    // Texts are compared by their words: line ends and widths differ between crates.
    let mut texts: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    for Package { name, version, licence, folder, .. } in packages {
        writeln!(text, "{name} {version}: {}", licence.as_deref().unwrap_or("see its text")).unwrap();
        for file in files(folder) {
            let own = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
            let words = own.split_whitespace().collect::<Vec<_>>().join(" ");
            let (_, of) = texts.entry(words).or_insert_with(|| (own, Vec::new()));
            let id = format!("{name} {version}");
            if !of.contains(&id) {
                of.push(id);
            }
        }
    }
    let mut texts: Vec<(String, Vec<String>)> = texts.into_values().collect();
    texts.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    for (own, of) in texts {
        write!(text, "\n{}\n{}\n\n", "-".repeat(80), of.join(", ")).unwrap();
        own.trim().lines().for_each(|line| writeln!(text, "{}", line.trim_end()).unwrap());
    }
    text
}

/// Returns the licence files of a crate, and of the C library that it may have in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let mut all: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    };
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    folders.extend(entries(folder).into_iter().filter(|path| path.is_dir()));
    for folder in folders {
        let licences = entries(&folder).into_iter().filter(|path| path.is_file() && is_licence(path));
        let mut own: Vec<PathBuf> = licences.collect();
        // One of several alternative licences is enough: MIT if it has a file, and for zstd the BSD
        // licence.
        if own.iter().any(|path| upper(path).contains("MIT")) {
            own.retain(|path| !OTHERS.iter().any(|other| upper(path).contains(other)));
        }
        let name = |path: &Path, name: &str| path.file_name().is_some_and(|file| file == name);
        if own.iter().any(|path| name(path, "LICENSE")) {
            own.retain(|path| !name(path, "COPYING"));
        }
        files.extend(own);
    }
    files
}

fn upper(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_uppercase()
}

fn is_licence(path: &Path) -> bool {
    let name = upper(path);
    NAMES.iter().any(|start| name.starts_with(start)) && !name.contains("GPL")
}
