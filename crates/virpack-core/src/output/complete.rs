//! A finished output that has not been renamed yet.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::names::{check_all, names_beside, page_path, report_path};
use super::page::PageOfRows;
use super::{OutputError, OutputFormat, OutputOptions, OutputSummary, about};
use crate::files::{FileError, FileProblem, PendingFile, StagedFiles};

/// An output that is whole on disk and has no name yet; made by
/// [`EmbeddingWriter::complete`](super::EmbeddingWriter::complete).
///
/// Dropped without [`publish`](CompleteOutput::publish), it leaves nothing behind.
pub(crate) struct CompleteOutput {
    /// None: all went to standard output.
    pub(super) whole: Option<StagedFiles>,
    pub(super) written: OutputSummary,
    pub(super) page: Option<PageOfRows>,
    pub(super) path: PathBuf,
    pub(super) format: OutputFormat,
    pub(super) options: OutputOptions,
}

impl CompleteOutput {
    /// What the files hold; `OUT.run.json` and `OUT.report.html` are not among them yet.
    pub(crate) fn written(&self) -> &OutputSummary {
        &self.written
    }

    /// Checks that the names are free still, unless older files give way.
    pub(crate) fn check_names(&self) -> Result<(), OutputError> {
        if self.whole.is_none() {
            return Ok(());
        }
        let page = self.page.is_some().then(|| page_path(&self.path));
        let later = [Some(report_path(&self.path)), page];
        let files = self.written.files.iter().chain(later.iter().flatten()).map(PathBuf::as_path);
        check_all(files, self.options.force)
    }

    /// Gives the files their names, and `OUT.run.json` these facts, which `OUT.report.html` shows too. Of
    /// standard output nothing is left to do.
    ///
    /// # Errors
    ///
    /// When one of these two cannot be written or a file not be renamed. Nothing then stands under the asked
    /// name; files that are whole are kept, and the error says where.
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
        whole = add(whole, &target, about::write(&target, &all))?;
        written.files.push(target);
        let mut stale = Vec::new();
        if options.force {
            match names_beside(&path, format) {
                Ok(names) => stale = names,
                Err(OutputError::File(FileError(FileProblem::Directory { source, .. }))) => {
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

/// Adds a side file that describes the others, made at the very end.
fn add(
    mut whole: StagedFiles,
    target: &Path,
    side: Result<PendingFile, OutputError>,
) -> Result<StagedFiles, OutputError> {
    match side {
        Ok(side) => whole.sides.push(side),
        // A night's work is not thrown away for want of room for its description.
        Err(OutputError::File(FileError(
            FileProblem::Directory { source, .. } | FileProblem::Write { source, .. },
        ))) => return Err(whole.kept(target.into(), source).into()),
        Err(error) => return Err(error),
    }
    Ok(whole)
}
