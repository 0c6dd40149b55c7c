//! Facts about a run as JSON, in a file and beside it.

use std::path::Path;

use serde_json::{Map, Value};

use super::OutputError;
use crate::files::PendingFile;

/// Returns names and values as a JSON object.
pub(super) fn object(about: &[(String, String)]) -> Map<String, Value> {
    about.iter().map(|(key, value)| (key.clone(), Value::from(&**value))).collect()
}

/// Writes a JSON object for `target`, which is not renamed yet.
pub(crate) fn write(target: &Path, facts: &Map<String, Value>) -> Result<PendingFile, OutputError> {
    Ok(PendingFile::whole(target, text(facts).as_bytes())?)
}

/// Returns a JSON object as text with a final line end.
pub(crate) fn text(object: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(object).expect("keys are texts, and nothing in it fails") + "\n"
}
