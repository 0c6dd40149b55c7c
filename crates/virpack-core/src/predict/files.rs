//! The names of what a run writes.

use std::path::{Path, PathBuf};

use super::external_sort::spill_path;

/// The files of a run, in its directory.
pub(super) struct Files {
    pub(super) frames: PathBuf,
    pub(super) chunks: PathBuf,
    pub(super) sequences: PathBuf,
    pub(super) regions: PathBuf,
    pub(super) viral: PathBuf,
    pub(super) results: PathBuf,
    pub(super) highest: PathBuf,
    pub(super) report: PathBuf,
    /// A directory.
    pub(super) plots: PathBuf,
}

impl Files {
    pub(super) fn in_directory(directory: &Path) -> Self {
        let file = |name: &str| directory.join(name);
        Files {
            frames: file("frames.tsv"),
            chunks: file("chunks.tsv"),
            sequences: file("sequences.tsv"),
            regions: file("regions.tsv"),
            viral: file("viral.fna"),
            results: file("prediction_results.txt"),
            highest: file("prediction_results_highestscore.csv"),
            report: file("run.json"),
            plots: file("plots"),
        }
    }

    /// All that a run may begin under temporary names.
    pub(super) fn begun(&self) -> Vec<PathBuf> {
        let others = [self.plots.clone(), spill_path(&self.highest)];
        self.all().into_iter().map(Path::to_path_buf).chain(others).collect()
    }

    /// All but the directory of plots.
    pub(super) fn all(&self) -> [&Path; 8] {
        let Files { frames, chunks, sequences, regions, viral, results, highest, report, plots: _ } = self;
        [frames, chunks, sequences, regions, viral, results, highest, report].map(PathBuf::as_path)
    }
}
