//! The names of what a run writes.

use std::path::{Path, PathBuf};

use super::external_sort::spill_path;
use crate::calls::CallFiles;

/// The files of a run, in its directory.
pub(super) struct Files {
    pub(super) calls: CallFiles,
    pub(super) frames: PathBuf,
    pub(super) chunks: PathBuf,
    pub(super) results: PathBuf,
    pub(super) highest: PathBuf,
    pub(super) report: PathBuf,
}

impl Files {
    pub(super) fn in_directory(directory: &Path) -> Self {
        let file = |name: &str| directory.join(name);
        Files {
            calls: CallFiles::in_directory(directory),
            frames: file("frames.tsv"),
            chunks: file("chunks.tsv"),
            results: file("prediction_results.txt"),
            highest: file("prediction_results_highestscore.csv"),
            report: file("run.json"),
        }
    }

    /// All that a run may begin under temporary names.
    pub(super) fn begun(&self) -> Vec<PathBuf> {
        let others = [self.calls.plots.clone(), spill_path(&self.highest)];
        self.all().map(Path::to_path_buf).chain(others).collect()
    }

    /// VirNucPro's two files.
    pub(super) fn reference(&self) -> [&Path; 2] {
        [&self.results, &self.highest].map(PathBuf::as_path)
    }

    /// Those that hold scores, and the report; VirNucPro's if they are asked for.
    pub(super) fn own(&self, with_reference: bool) -> impl Iterator<Item = &Path> {
        let reference = self.reference().into_iter().filter(move |_| with_reference);
        [&self.frames, &self.chunks].map(PathBuf::as_path).into_iter().chain(reference).chain([&*self.report])
    }

    /// All but the directory of plots.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.own(true).chain(self.calls.all())
    }
}
