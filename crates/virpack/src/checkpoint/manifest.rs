//! `manifest.json`: whose parts they are, and which of them are whole.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::identity::Identity;
use super::{FORMAT, ResumeError};
use crate::guarded;
use crate::output::{Aside, OutputError, sync_directory};

/// The manifest's name in its folder.
const NAME: &str = "manifest.json";

/// What the system says where there is no folder, or none can be.
const NO_FOLDER: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::InvalidFilename];

/// What is said of the parts in a folder; replaced as a whole, never changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    /// Of the run that makes them.
    pub(crate) identity: Identity,
    /// Most tokens in a batch of each of its models: whoever goes on makes the same batches.
    pub(crate) token_budgets: Vec<usize>,
    /// Those that are whole, as they were closed.
    pub(crate) parts: Vec<Part>,
    /// What was computed and not finished when it was written last.
    pub(crate) under_way: Option<Part>,
    /// Whether every record was done, and files of the output may have had their names already.
    pub(crate) publishing: bool,
}

/// A file of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its number, which names it.
    pub(crate) number: u64,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// In hexadecimal digits, as `sha256sum` prints it.
    pub(crate) sha256: String,
}

impl Part {
    pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{number:06}.part"))
    }

    /// Whether a file's name is one that [`Part::path`] gives.
    pub(super) fn is_name(name: &str) -> bool {
        let number = name.strip_suffix(".part").unwrap_or_default();
        number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn of_json(value: &Value) -> Option<Part> {
        let number = |name: &str| value.get(name)?.as_u64();
        let sha256 = value.get("sha256")?.as_str()?.to_owned();
        Some(Part { number: number("part")?, entries: number("entries")?, bytes: number("bytes")?, sha256 })
    }

    fn to_json(&self) -> Value {
        let Part { number, entries, bytes, sha256 } = self;
        json!({"part": number, "entries": entries, "bytes": bytes, "sha256": sha256})
    }
}

impl Manifest {
    pub(crate) fn new(identity: Identity, token_budgets: Vec<usize>) -> Manifest {
        Manifest { identity, token_budgets, parts: Vec::new(), under_way: None, publishing: false }
    }

    /// Entries in all parts.
    pub(crate) fn entries(&self) -> u64 {
        self.parts.iter().map(|part| part.entries).sum()
    }

    /// The numbers of all files that it speaks of.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().chain(&self.under_way).map(|part| part.number)
    }

    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join(NAME)
    }

    pub(super) fn is_name(name: &str) -> bool {
        name == NAME
    }

    /// Reads the manifest of a folder; None where there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Manifest>, ResumeError> {
        let path = Manifest::path(folder);
        let damaged = |reason: String| ResumeError::Manifest { path: path.clone(), reason };
        let text = match guarded::read(&path) {
            Ok(text) => text,
            // Where no folder can be, the output cannot either, and says so.
            Err(error) if NO_FOLDER.contains(&error.kind()) => return Ok(None),
            Err(error) => return Err(damaged(error.to_string())),
        };
        let value: Value = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let parts = || value.get("parts")?.as_array()?.iter().map(Part::of_json).collect::<Option<_>>();
        let manifest = || {
            let identity = Identity::of_json(value.get("run")?)?;
            let budgets = value.get("token_budgets")?.as_array()?.iter();
            let token_budgets =
                budgets.map(|budget| usize::try_from(budget.as_u64()?).ok()).collect::<Option<_>>()?;
            let under_way = value.get("under_way")?;
            let under_way = if under_way.is_null() { None } else { Some(Part::of_json(under_way)?) };
            let publishing = value.get("publishing")?.as_bool()?;
            Some(Manifest { identity, token_budgets, parts: parts()?, under_way, publishing })
        };
        if value.get("run").is_some() && value.get("format").and_then(Value::as_u64) != Some(FORMAT) {
            return Err(ResumeError::Version { folder: folder.to_owned() });
        }
        manifest().map(Some).ok_or_else(|| damaged("it lacks what every manifest has".to_owned()))
    }

    /// Replaces the manifest of a folder: on disk, there is always the old one or the new one.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), OutputError> {
        let path = Manifest::path(folder);
        let parts: Vec<Value> = self.parts.iter().map(Part::to_json).collect();
        let value = json!({
            "format": FORMAT,
            "run": self.identity.to_json(),
            "token_budgets": self.token_budgets,
            "publishing": self.publishing,
            "under_way": self.under_way.as_ref().map(Part::to_json),
            "parts": parts,
        });
        let (mut aside, mut file) = Aside::create(&path)?;
        let written = file.write_all(value.to_string().as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| aside.publish()).map_err(OutputError::write(&path))?;
        sync_directory(folder);
        Ok(())
    }
}
