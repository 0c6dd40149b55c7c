//! `manifest.json`: whose parts they are, and which of them are whole.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use virpack_seq::read_small;

use super::identity::Identity;
use super::{FORMAT, LARGEST_LIST, ResumeError};
use crate::output::{Aside, OutputError, sync_directory};

/// The manifest's name in its folder.
const NAME: &str = "manifest.json";

/// What the system says where there is no folder, or none can be.
const NO_FOLDER: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::InvalidFilename];

/// Numbers of parts are below this: there is room behind the last one.
const MOST_PARTS: u64 = 1 << 40;

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

    fn of_json(value: &Value) -> Option<Part> {
        let number = |name: &str| value.get(name)?.as_u64();
        let sha256 = value.get("sha256")?.as_str()?.to_owned();
        let part = number("part").filter(|part| *part < MOST_PARTS)?;
        Some(Part { number: part, entries: number("entries")?, bytes: number("bytes")?, sha256 })
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

    /// Reads the manifest of a folder; None where there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Manifest>, ResumeError> {
        let path = Manifest::path(folder);
        let damaged = |reason: String| ResumeError::Manifest { path: path.clone(), reason };
        let text = match read_small(&path, LARGEST_LIST) {
            Ok(text) => text,
            // Where no folder can be, the output cannot either, and says so.
            Err(error) if NO_FOLDER.contains(&error.kind()) => return Ok(None),
            Err(error) => return Err(damaged(error.to_string())),
        };
        Manifest::of_json(&text, folder).map(Some)
    }

    /// Reads what [`Manifest::to_json`] gave.
    pub(crate) fn of_json(text: &[u8], folder: &Path) -> Result<Manifest, ResumeError> {
        let damaged = |reason: String| ResumeError::Manifest { path: Manifest::path(folder), reason };
        let value: Value = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
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
        let manifest = manifest().ok_or_else(|| damaged("it lacks what every manifest has".to_owned()))?;
        // Their sum is what is finished.
        let entries = manifest.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.entries));
        entries.map(|_| manifest).ok_or_else(|| damaged("its parts have more entries than can be".to_owned()))
    }

    pub(crate) fn to_json(&self) -> Value {
        let parts: Vec<Value> = self.parts.iter().map(Part::to_json).collect();
        json!({
            "format": FORMAT,
            "run": self.identity.to_json(),
            "token_budgets": self.token_budgets,
            "publishing": self.publishing,
            "under_way": self.under_way.as_ref().map(Part::to_json),
            "parts": parts,
        })
    }

    /// Replaces the manifest of a folder: on disk, there is always the old one or the new one.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), OutputError> {
        let path = Manifest::path(folder);
        let (mut aside, mut file) = Aside::create(&path)?;
        let written = file.write_all(self.to_json().to_string().as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| aside.publish()).map_err(OutputError::write(&path))?;
        sync_directory(folder);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let part = |number, entries| Part { number, entries, bytes: 1, sha256: "ab".to_owned() };
        let read = |parts: &[Part]| {
            let manifest = Manifest { parts: parts.to_vec(), ..Manifest::new(Identity::default(), vec![1]) };
            let read = Manifest::of_json(manifest.to_json().to_string().as_bytes(), Path::new("x"));
            assert!(read.as_ref().is_ok_and(|read| *read == manifest) || read.is_err());
            read.map(|read| read.entries()).map_err(|error| error.to_string())
        };
        assert_eq!(read(&[part(1, 10), part(MOST_PARTS - 1, u64::MAX - 10)]), Ok(u64::MAX));
        assert!(read(&[part(1, 10), part(2, u64::MAX)]).unwrap_err().contains("more entries than can be"));
        assert!(read(&[part(u64::MAX, 1)]).is_err());
    }
}
