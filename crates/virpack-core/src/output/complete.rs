//! A finished output that has not been renamed yet.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::names::{check_all, names_beside, page_path, report_path};
use super::page::PageOfRows;
use super::{OutputError, OutputFormat, OutputOptions, OutputProblem, OutputSummary, about};
use crate::files::{FileProblem, PendingFile, StagedFiles};

/// A complete output on disk that is not renamed yet; returned by
/// [`EmbeddingWriter::complete`](super::EmbeddingWriter::complete).
///
/// Dropped without [`publish`](CompleteOutput::publish), it leaves nothing behind.
pub(crate) struct CompleteOutput {
    /// `None` for standard output.
    pub(super) whole: Option<StagedFiles>,
    pub(super) written: OutputSummary,
    pub(super) page: Option<PageOfRows>,
    pub(super) path: PathBuf,
    pub(super) format: OutputFormat,
    pub(super) options: OutputOptions,
}

impl CompleteOutput {
    /// Returns the summary; it does not yet list `OUT.run.json` and `OUT.report.html`.
    pub(crate) fn written(&self) -> &OutputSummary {
        &self.written
    }

    /// Checks that the names are still free, unless existing files may be replaced.
    pub(crate) fn check_names(&self) -> Result<(), OutputError> {
        if self.whole.is_none() {
            return Ok(());
        }
        let page = self.page.is_some().then(|| page_path(&self.path));
        let later = [Some(report_path(&self.path)), page];
        let files = self.written.files.iter().chain(later.iter().flatten()).map(PathBuf::as_path);
        check_all(files, self.options.force)
    }

    /// Renames the files into place, and writes `facts` to `OUT.run.json` and `OUT.report.html`. Does nothing
    /// for standard output.
    ///
    /// # Errors
    ///
    /// Returns an error if one of these two cannot be written, or a file cannot be renamed. No file then has
    /// the output's name; complete files are kept, and the error says where.
    pub(crate) fn publish(self, facts: &Map<String, Value>) -> Result<OutputSummary, OutputError> {
        let CompleteOutput { whole, mut written, page, path, format, options } = self;
        let Some(mut whole) = whole else { return Ok(written) };
        let mut all = facts.clone();
        all.insert("metadata".to_owned(), about::object(&options.about()).into());
        if let Some(page) = page {
            let target = page_path(&path);
            whole = add(whole, &target, page.write(&target, &all))?;
            written.files.push(target);
        }
        let target = report_path(&path);
        let report = about::write_run(&target, &all, whole.sides.iter().chain([&whole.main]));
        whole = add(whole, &target, report)?;
        written.files.push(target);
        let mut stale = Vec::new();
        if options.force {
            match names_beside(&path, format) {
                Ok(names) => stale = names,
                Err(OutputError(OutputProblem::File(FileProblem::Directory { source, .. }))) => {
                    return Err(whole.kept(path, source).into());
                }
                Err(error) => return Err(error),
            }
            stale.push(path);
            stale.retain(|name| !written.files.contains(name));
        }
        whole.publish(options.force, &stale)?;
        Ok(written)
    }
}

/// Adds a side file that describes the others, written last.
fn add(
    mut whole: StagedFiles,
    target: &Path,
    side: Result<PendingFile, OutputError>,
) -> Result<StagedFiles, OutputError> {
    match side {
        Ok(side) => whole.sides.push(side),
        // The results of hours are not discarded because their description does not fit on the disk.
        Err(OutputError(OutputProblem::File(
            FileProblem::Directory { source, .. } | FileProblem::Write { source, .. },
        ))) => return Err(whole.kept(target.into(), source).into()),
        Err(error) => return Err(error),
    }
    Ok(whole)
}
