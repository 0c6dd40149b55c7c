//! A complete output, and what a run that would resume it reports.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use virpack_seq::read_small;

use super::{LARGEST_LIST, OtherRun, ResumeProblem};
use crate::identity::{Identity, IdentityDifference};

/// The names under which a report holds the identity of its run, and its files.
const RUN: &str = "run";
const FILES: &str = "files";

/// A complete output, read from its report.
pub(crate) struct CompleteRun {
    report: PathBuf,
    identity: Identity,
}

impl CompleteRun {
    /// Reads the report of an output. Returns `None` if there is none, if a file of it is missing, or if it
    /// has no identity, like that of a run which kept nothing.
    pub(super) fn read(report: &Path) -> Option<CompleteRun> {
        let value: Value = serde_json::from_slice(&read_small(report, LARGEST_LIST).ok()?).ok()?;
        let identity = recorded_identity(value.as_object()?)?;
        let file = |name: &Value| Some(report.with_file_name(name.as_str()?));
        let mut files = value.get(FILES)?.as_array()?.iter().map(file);
        let is_whole = files.all(|file| file.is_some_and(|file| file.exists()));
        is_whole.then(|| CompleteRun { report: report.to_path_buf(), identity })
    }

    /// Returns the error that ends a run of this identity: nothing is left to do, or only files that are made
    /// from computed results, or the output is another run's. `shapes_files_alone` returns whether a setting
    /// changes no computed result.
    pub(crate) fn end(&self, identity: &Identity, shapes_files_alone: fn(&str) -> bool) -> ResumeProblem {
        let path = self.report.clone();
        let differences = identity.differences(&self.identity);
        if differences.is_empty() {
            ResumeProblem::Complete(path)
        } else if differences.iter().all(|difference| shapes_files_alone(&difference.name)) {
            ResumeProblem::OtherCalls(OtherRun { path, differences })
        } else {
            ResumeProblem::AnotherOutput(OtherRun { path, differences })
        }
    }
}

/// Returns the identity that [`describe`] has added to a report, if there is one.
pub(crate) fn recorded_identity(report: &Map<String, Value>) -> Option<Identity> {
    Identity::of_json(report.get(RUN)?)
}

/// Adds to a report what [`CompleteRun`] reads: the run's identity, if it is known, and the names of the
/// output's files, which are in the report's directory.
pub(crate) fn describe(report: &mut Map<String, Value>, identity: Option<&Identity>, files: &[PathBuf]) {
    let name = |file: &PathBuf| Value::from(file.file_name().unwrap_or_default().to_string_lossy());
    report.insert(FILES.to_owned(), files.iter().map(name).collect());
    report.extend(identity.map(|identity| (RUN.to_owned(), identity.to_json())));
}

/// Returns the differences, one line each.
pub(super) fn lines(differences: &[IdentityDifference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use virpack_seq::Hint;

    use super::*;

    #[test]
    fn a_whole_output_is_known_by_its_report() {
        let directory = tempfile::tempdir().unwrap();
        let [report, file] = ["run.json", "table.tsv"].map(|name| directory.path().join(name));
        let mut identity = Identity::default();
        identity.set("length", 300);
        let write = |identity: Option<&Identity>| {
            let mut facts = Map::new();
            describe(&mut facts, identity, &[file.clone(), report.clone()]);
            fs::write(&report, Value::from(facts).to_string()).unwrap();
        };
        assert!(CompleteRun::read(&report).is_none());
        write(Some(&identity));
        assert!(CompleteRun::read(&report).is_none(), "a file is missing");
        fs::write(&file, "").unwrap();
        let complete = CompleteRun::read(&report).unwrap();
        let end = |identity: &Identity| complete.end(identity, |name| name == "prevalence");
        assert!(matches!(end(&identity), ResumeProblem::Complete(_)));
        let mut looser = identity.clone();
        looser.set("prevalence", 0.5);
        assert!(matches!(end(&looser), ResumeProblem::OtherCalls(_)));
        identity.set("length", 500);
        let end = end(&identity);
        assert!(end.to_string().contains("length: 300 there, 500 here"), "{end}");
        assert!(end.hint().unwrap().contains("let it be replaced"), "{end:?}");
        write(None);
        assert!(CompleteRun::read(&report).is_none());
    }
}
