//! Facts about a run, as JSON: inside a file, or beside one that has no room for them.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value};

use super::OutputError;
use super::aside::Aside;

/// Names and values as a JSON object.
pub(super) fn object(about: &[(String, String)]) -> Map<String, Value> {
    about.iter().map(|(key, value)| (key.clone(), Value::from(&**value))).collect()
}

/// Makes `target`, a JSON object; it has no name yet.
pub(super) fn write(target: &Path, about: &[(String, String)]) -> Result<Aside, OutputError> {
    let (aside, mut file) = Aside::create(target)?;
    let text = format!("{:#}\n", Value::Object(object(about)));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(OutputError::write(target))?;
    Ok(aside)
}
