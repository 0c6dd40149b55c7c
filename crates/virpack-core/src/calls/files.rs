//! The names of the files that are derived from scores.

use std::path::{Path, PathBuf};

use super::external_sort::spill_path;

/// The files that are derived from scores, in the directory of a run.
#[derive(Clone, Debug)]
pub(crate) struct CallFiles {
    pub(crate) sequences: PathBuf,
    pub(super) regions: PathBuf,
    pub(super) viral: PathBuf,
    pub(super) provirus_letters: PathBuf,
    pub(super) provirus_bed: PathBuf,
    pub(super) provirus_gff: PathBuf,
    pub(crate) chunks: PathBuf,
    pub(super) results: PathBuf,
    pub(super) highest: PathBuf,
    pub(super) contigs: PathBuf,
    /// The calibration of scores; it exists if they are calibrated.
    pub(crate) calibration: PathBuf,
    pub(super) page: PathBuf,
    pub(super) multiqc: PathBuf,
    /// A directory.
    pub(crate) plots: PathBuf,
}

impl CallFiles {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        let file = |name: &str| directory.join(name);
        CallFiles {
            sequences: file("sequences.tsv"),
            regions: file("regions.tsv"),
            viral: file("viral.fna"),
            provirus_letters: file("proviruses.fna"),
            provirus_bed: file("proviruses.bed"),
            provirus_gff: file("proviruses.gff3"),
            chunks: file("chunks.tsv"),
            results: file("prediction_results.txt"),
            highest: file("prediction_results_highestscore.csv"),
            contigs: file("contigs.tsv"),
            calibration: file("record_calibration.json"),
            page: file("report.html"),
            multiqc: file("virpack_mqc.json"),
            plots: file("plots"),
        }
    }

    /// Returns the files of sequences.
    pub(crate) fn letters(&self) -> [&Path; 2] {
        [&self.viral, &self.provirus_letters].map(PathBuf::as_path)
    }

    /// Returns the two files of VirNucPro.
    pub(crate) fn virnucpro(&self) -> [&Path; 2] {
        [&self.results, &self.highest].map(PathBuf::as_path)
    }

    /// Returns the files that every run has.
    pub(super) fn usual(&self) -> [&Path; 7] {
        let CallFiles { sequences, regions, provirus_bed, provirus_gff, chunks, page, multiqc, .. } = self;
        [sequences, regions, provirus_bed, provirus_gff, chunks, page, multiqc].map(PathBuf::as_path)
    }

    /// Iterates over all files, without the directory of plots.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Path> {
        let some =
            self.letters().into_iter().chain(self.virnucpro()).chain([&*self.contigs, &*self.calibration]);
        self.usual().into_iter().chain(some)
    }

    /// Returns everything that may exist under a temporary name.
    pub(crate) fn begun(&self) -> Vec<PathBuf> {
        let others = [self.plots.clone(), spill_path(&self.highest), spill_path(&self.contigs)];
        self.all().map(Path::to_path_buf).chain(others).collect()
    }
}
