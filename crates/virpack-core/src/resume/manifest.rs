//! `manifest.json`: the run of the parts, and which of them are complete.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use virpack_seq::reader::hex;

use super::{FORMAT, LARGEST_LIST, ResumeProblem, RunId};
use crate::files::PendingFile;
use crate::identity::Identity;
use crate::output::OutputError;
use virpack_model::guarded;

/// The manifest's name in its folder.
const NAME: &str = "manifest.json";
/// Its own SHA-256, of all its other fields.
const SUM: &str = "sha256";
/// More parts than a run of a thousand years closes.
const LARGEST_NUMBER: u64 = 1 << 40;

/// The system's errors if there is no directory, or none can be created.
const NO_FOLDER: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::InvalidFilename];

/// The facts about the parts in a directory. The file is replaced, never changed in place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    /// The beginning of its parts.
    pub(crate) run: RunId,
    /// The identity of the run that makes them.
    pub(crate) identity: Identity,
    /// The most tokens in a batch of each of its models: a resumed run makes the same batches.
    pub(crate) token_budgets: Vec<usize>,
    /// The complete parts.
    pub(crate) parts: Vec<Part>,
    /// Results that were computed and not finished when it was last written.
    pub(crate) under_way: Option<Part>,
    /// Whether every record was finished, and files of the output may have been renamed.
    pub(crate) publishing: bool,
}

/// A file of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its number, from which its file is named.
    pub(crate) number: u64,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// In hexadecimal digits, as printed by `sha256sum`.
    pub(crate) sha256: String,
}

impl Part {
    pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{number:06}.part"))
    }

    /// Returns whether a file has a name like those of [`Part::path`].
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
    pub(crate) fn new(run: RunId, identity: Identity, token_budgets: Vec<usize>) -> Manifest {
        Manifest { run, identity, token_budgets, parts: Vec::new(), under_way: None, publishing: false }
    }

    /// Returns the number of entries in all parts.
    pub(crate) fn entries(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.entries))
    }

    /// Returns the numbers of all files that it lists.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().chain(&self.under_way).map(|part| part.number)
    }

    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join(NAME)
    }

    pub(super) fn is_name(name: &str) -> bool {
        name == NAME
    }

    /// Reads the manifest of a directory; returns `None` if there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Manifest>, ResumeProblem> {
        let path = Manifest::path(folder);
        let damaged = |reason: String| ResumeProblem::Manifest { path: path.clone(), reason };
        let text = match guarded::read(&path, LARGEST_LIST) {
            Ok(text) => text,
            // If there cannot be a directory, there cannot be an output either, which reports it.
            Err(error) if NO_FOLDER.contains(&error.kind()) => return Ok(None),
            Err(error) => return Err(damaged(error.to_string())),
        };
        Manifest::of_json(&text, folder).map(Some)
    }

    /// Parses the result of [`Manifest::to_json`].
    pub(crate) fn of_json(text: &[u8], folder: &Path) -> Result<Manifest, ResumeProblem> {
        let damaged = |reason: String| ResumeProblem::Manifest { path: Manifest::path(folder), reason };
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
            let run = RunId::of_text(value.get("id")?.as_str()?)?;
            Some(Manifest { run, identity, token_budgets, parts: parts()?, under_way, publishing })
        };
        if value.get("run").is_some() && value.get("format").and_then(Value::as_u64) != Some(FORMAT) {
            return Err(ResumeProblem::Version(folder.to_owned()));
        }
        if value.get(SUM).and_then(Value::as_str) != Some(&*sum_without(&value)) {
            return Err(damaged(
                "it was edited or damaged: its checksum is not the one it was written with".to_owned(),
            ));
        }
        let manifest = manifest().ok_or_else(|| damaged("it lacks what every manifest has".to_owned()))?;
        manifest.problem().map_or(Ok(manifest), |problem| Err(damaged(problem)))
    }

    /// Returns what no run can have written.
    fn problem(&self) -> Option<String> {
        if self.token_budgets.contains(&0) {
            return Some("a token budget of 0".to_owned());
        }
        let mut numbers: Vec<u64> = self.numbers().collect();
        numbers.sort_unstable();
        if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("it lists part {} twice", twice[0]));
        }
        // Their sum is the finished work.
        if self.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.entries)).is_none() {
            return Some("its parts have more entries than can be".to_owned());
        }
        let absurd = numbers.pop().filter(|number| *number > LARGEST_NUMBER);
        absurd.map(|number| format!("it lists part {number}; the largest number is {LARGEST_NUMBER}"))
    }

    pub(crate) fn to_json(&self) -> Value {
        let parts: Vec<Value> = self.parts.iter().map(Part::to_json).collect();
        let mut value = json!({
            "format": FORMAT,
            "id": self.run.to_string(),
            "run": self.identity.to_json(),
            "token_budgets": self.token_budgets,
            "publishing": self.publishing,
            "under_way": self.under_way.as_ref().map(Part::to_json),
            "parts": parts,
        });
        value[SUM] = sum_without(&value).into();
        value
    }

    /// Returns a text with the right checksum, for a fuzz target, whose mutations would otherwise all be
    /// refused.
    pub(crate) fn signed(text: &[u8]) -> Option<String> {
        let mut value: Value = serde_json::from_slice(text).ok()?;
        let sum = sum_without(&value);
        value.as_object_mut()?.insert(SUM.to_owned(), sum.into());
        Some(value.to_string())
    }

    /// Replaces the manifest of a directory. The disk always holds the old one or the new one.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), OutputError> {
        let text = self.to_json().to_string();
        Ok(PendingFile::whole(&Manifest::path(folder), text.as_bytes())?.publish_synced()?)
    }
}

/// Returns the SHA-256 of a manifest's fields, except for that one.
fn sum_without(value: &Value) -> String {
    let mut rest = value.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove(SUM);
    }
    hex(&Sha256::digest(rest.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_seq::Hint;

    fn part(number: u64) -> Part {
        Part { number, entries: 5, bytes: 3, sha256: "ab".to_owned() }
    }

    #[test]
    fn what_was_edited_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest {
            parts: vec![part(1), part(2)],
            ..Manifest::new(RunId::new(), Identity::default(), vec![4096])
        };
        manifest.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Some(manifest.clone()));
        assert_eq!(manifest.entries(), 10);
        let text = std::fs::read_to_string(Manifest::path(folder.path())).unwrap();
        for (was, is) in [
            ("4096", "8192"),
            ("\"part\":1", "\"part\":7"),
            (&manifest.run.to_string()[..], &RunId::new().to_string()),
        ] {
            let edited = text.replace(was, is);
            assert_ne!(edited, text);
            std::fs::write(Manifest::path(folder.path()), edited).unwrap();
            let message = Manifest::read(folder.path()).unwrap_err().to_string();
            assert!(message.contains("it was edited or damaged"), "{message}");
        }
    }

    #[test]
    fn what_no_run_writes_is_refused_even_with_its_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let good = Manifest::new(RunId::new(), Identity::default(), vec![4096]);
        let odd = [
            (Manifest { token_budgets: vec![0], ..good.clone() }, "a token budget of 0"),
            (
                Manifest { parts: vec![part(1), Part { entries: u64::MAX - 4, ..part(2) }], ..good.clone() },
                "more entries than can be",
            ),
            (Manifest { parts: vec![part(3), part(3)], ..good.clone() }, "it lists part 3 twice"),
            (
                Manifest { parts: vec![part(3)], under_way: Some(part(3)), ..good.clone() },
                "it lists part 3 twice",
            ),
            (Manifest { parts: vec![part(u64::MAX)], ..good.clone() }, "it lists part 18446744073709551615;"),
        ];
        for (manifest, said) in odd {
            manifest.write(folder.path()).unwrap();
            let error = Manifest::read(folder.path()).unwrap_err();
            assert!(error.to_string().contains(said) && error.hint().is_some(), "{error}");
        }
    }
}
