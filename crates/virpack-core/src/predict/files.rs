//! The names of the files that a run writes.

use std::path::{Path, PathBuf};

use crate::calls::CallFiles;

/// The files of a run, in its directory.
pub(crate) struct Files {
    pub(crate) calls: CallFiles,
    pub(crate) frames: PathBuf,
    pub(crate) run_json: PathBuf,
}

impl Files {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        let [frames, run_json] = ["frames.tsv", "run.json"].map(|name| directory.join(name));
        Files { calls: CallFiles::in_directory(directory), frames, run_json }
    }

    /// Returns all paths that may exist under temporary names.
    pub(crate) fn begun(&self) -> Vec<PathBuf> {
        let mut begun = self.calls.begun();
        begun.extend([self.frames.clone(), self.run_json.clone()]);
        begun
    }

    /// Returns all files, without the directory of plots.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Path> {
        [&*self.frames, &*self.run_json].into_iter().chain(self.calls.all())
    }
}
