//! A complete output, and what a run that would resume it reports.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use virpack_seq::read_small;

use super::{LARGEST_LIST, OtherRun, ResumeProblem};
use crate::identity::{Identity, IdentityDifference};
use crate::output::about::{FILES, SIZES};

/// The name under which a report holds the identity of its run.
const RUN: &str = "run";

/// A complete output, read from its report.
pub(crate) struct CompleteRun {
    report: PathBuf,
    identity: Identity,
    /// A file that has another size now.
    changed: Option<ChangedFile>,
}

/// A file of a complete output that is not what the run has written.
#[derive(Clone, Debug)]
pub(crate) struct ChangedFile {
    pub(super) path: PathBuf,
    /// Its size.
    pub(super) bytes: u64,
    /// The size that the report records.
    pub(super) written: u64,
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
        let sizes = value.get(SIZES).and_then(Value::as_object).into_iter().flatten();
        let changed = sizes.filter_map(|(name, written)| {
            let (path, written) = (report.with_file_name(name), written.as_u64()?);
            let bytes = fs::metadata(&path).ok()?.len();
            (bytes != written).then_some(ChangedFile { path, bytes, written })
        });
        let changed = changed.min_by(|one, other| one.path.cmp(&other.path));
        is_whole.then(|| CompleteRun { report: report.to_path_buf(), identity, changed })
    }

    /// Returns whether its files have the sizes that the report records.
    pub(super) fn is_unchanged(&self) -> bool {
        self.changed.is_none()
    }

    /// Returns the error that ends a run of this identity: nothing is left to do, or only files that are made
    /// from computed results, or the output is another run's. `shapes_files_alone` returns whether a setting
    /// changes no computed result.
    pub(crate) fn end(&self, identity: &Identity, shapes_files_alone: fn(&str) -> bool) -> ResumeProblem {
        let path = self.report.clone();
        if let Some(file) = &self.changed {
            return ResumeProblem::ChangedOutput { report: path, file: file.clone() };
        }
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
    use virpack_seq::Hint;

    use crate::files::PendingFile;
    use crate::output::about;

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
            let mut written =
                about::write_run(&report, &facts, &[PendingFile::whole(&file, b"").unwrap()]).unwrap();
            written.publish().unwrap();
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
        fs::write(&file, "torn").unwrap();
        let changed = CompleteRun::read(&report).unwrap().end(&identity, |_| true);
        let said = format!("{} has 4 bytes, and the run that", file.display());
        assert!(changed.to_string().starts_with(&said), "{changed}");
        write(None);
        assert!(CompleteRun::read(&report).is_none());
    }
}
