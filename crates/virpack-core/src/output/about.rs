//! Facts about a run as JSON, in a file and beside it.

use std::path::Path;

use serde_json::{Map, Value};

use super::OutputError;
use crate::files::PendingFile;

/// The name under which the report of a run holds its files.
pub(crate) const FILES: &str = "files";
/// The name under which it holds the plots in the directory of plots.
pub(crate) const PLOTS: &str = "plots";
/// The name under which it holds the sizes of files on a disk.
pub(crate) const SIZES: &str = "file_bytes";

/// Returns names and values as a JSON object.
pub(super) fn object(about: &[(String, String)]) -> Map<String, Value> {
    about.iter().map(|(key, value)| (key.clone(), Value::from(&**value))).collect()
}

/// Writes a JSON object for `target`, which is not renamed yet.
pub(crate) fn write(target: &Path, facts: &Map<String, Value>) -> Result<PendingFile, OutputError> {
    Ok(PendingFile::whole(target, text(facts).as_bytes())?)
}

/// Writes the report of a run for `target`, with the sizes of `files`, which are complete and not renamed
/// yet. Other files of the run keep the sizes that `facts` has.
pub(crate) fn write_run<'a>(
    target: &Path,
    facts: &Map<String, Value>,
    files: impl IntoIterator<Item = &'a PendingFile>,
) -> Result<PendingFile, OutputError> {
    let mut facts = facts.clone();
    let mut sizes = facts.get(SIZES).and_then(Value::as_object).cloned().unwrap_or_default();
    for file in files {
        if let (Some(name), Some(bytes)) = (file.target().file_name(), file.bytes()) {
            sizes.insert(name.to_string_lossy().into_owned(), bytes.into());
        }
    }
    let listed = facts.get(FILES).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    sizes.retain(|name, _| listed.iter().any(|file| file.as_str() == Some(name)));
    facts.insert(SIZES.to_owned(), sizes.into());
    write(target, &facts)
}

/// Returns a JSON object as text with a final line end.
pub(crate) fn text(object: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(object).expect("keys are texts, and nothing in it fails") + "\n"
}
