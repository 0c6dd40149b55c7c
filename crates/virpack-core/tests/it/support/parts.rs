//! Changes parts of unfinished runs.

use std::path::Path;

/// Changes a complete part, if there is one.
pub(super) fn damage(folder: &Path, how: usize, place: usize) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut parts: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "part")).collect();
    parts.sort();
    if parts.is_empty() {
        return;
    }
    let path = &parts[place % parts.len()];
    let mut bytes = std::fs::read(path).unwrap();
    let at = place % bytes.len();
    match how {
        0 => return,
        1 => return std::fs::remove_file(path).unwrap(),
        2 => bytes.truncate(at),
        _ => bytes[at] ^= 1 << (place % 8),
    }
    std::fs::write(path, bytes).unwrap();
}
