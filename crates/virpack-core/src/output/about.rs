//! Facts about a run, as JSON: inside a file, and beside it.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value};

use super::OutputError;
use crate::files::PendingFile;

/// Names and values as a JSON object.
pub(super) fn object(about: &[(String, String)]) -> Map<String, Value> {
    about.iter().map(|(key, value)| (key.clone(), Value::from(&**value))).collect()
}

/// Makes `target`, a JSON object; it has no name yet.
pub(crate) fn write(target: &Path, facts: &Map<String, Value>) -> Result<PendingFile, OutputError> {
    let text = serde_json::to_string_pretty(facts).expect("keys are texts, and nothing in it fails");
    write_text(target, &(text + "\n"))
}

/// Makes `target`, a text; it has no name yet.
pub(super) fn write_text(target: &Path, text: &str) -> Result<PendingFile, OutputError> {
    let (pending, mut file) = PendingFile::create(target)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(OutputError::write(target))?;
    Ok(pending)
}
