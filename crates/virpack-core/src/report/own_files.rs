//! The files of a run that a report may replace or remove: those that the run, or an earlier report, wrote.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{FinishedRun, ReportProblem};
use crate::calls::is_plot;
use crate::output::about::{FILES, PLOTS};

/// The files of a run by `run.json`.
pub(super) struct OwnFiles {
    directory: PathBuf,
    /// None: the names that virpack gives are all its own.
    files: Option<HashSet<String>>,
    /// The same, in the directory of plots.
    plots: Option<HashSet<String>>,
}

impl OwnFiles {
    /// Returns the files that `run.json` lists. If an earlier report was killed while it renamed its files
    /// (`is_torn`), some of them are not listed, and names decide; so they do for a run that has no list.
    pub(super) fn of(run: &FinishedRun, is_torn: bool) -> Self {
        let listed = |key: &str| {
            let names = run.facts.get(key).filter(|_| !is_torn)?.as_array()?;
            Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        let files: Option<HashSet<String>> = listed(FILES);
        let has_none = files.as_ref().is_some_and(|files| !files.contains(PLOTS));
        let plots = listed(PLOTS).or_else(|| has_none.then(HashSet::new));
        OwnFiles { directory: run.directory.clone(), files, plots }
    }

    /// Returns whether a file in the run's directory is one of its own.
    pub(super) fn has(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.files.as_ref().is_none_or(|files| files.contains(&*name))
    }

    /// Returns whether a file in the directory of plots is one of its own.
    pub(super) fn has_plot(&self, name: &str) -> bool {
        is_plot(name) && self.plots.as_ref().is_none_or(|plots| plots.contains(name))
    }

    /// Refuses to replace one of `paths` that exists and is not its own.
    pub(super) fn check<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<(), ReportProblem> {
        paths.into_iter().try_for_each(|path| self.check_one(path, self.has(path)))
    }

    /// Refuses a file in place of the directory of plots.
    pub(super) fn check_directory(&self, plots: &Path) -> Result<(), ReportProblem> {
        if plots.is_dir() { Ok(()) } else { self.check_one(plots, false) }
    }

    /// Refuses to replace a file of these names in the directory of plots that exists and is not its own.
    pub(super) fn check_plots<'a>(
        &self,
        plots: &Path,
        mut names: impl Iterator<Item = &'a str>,
    ) -> Result<(), ReportProblem> {
        names.try_for_each(|name| self.check_one(&plots.join(name), self.has_plot(name)))
    }

    fn check_one(&self, path: &Path, is_own: bool) -> Result<(), ReportProblem> {
        if is_own || path.symlink_metadata().is_err() {
            return Ok(());
        }
        Err(ReportProblem::NotOfRun { path: path.to_path_buf(), directory: self.directory.clone() })
    }
}
