//! Facts about a run, as JSON: inside a file, and beside it.

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
    Ok(PendingFile::whole(target, text(facts).as_bytes())?)
}

/// A JSON object as a text that ends with a line end.
pub(crate) fn text(object: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(object).expect("keys are texts, and nothing in it fails") + "\n"
}
