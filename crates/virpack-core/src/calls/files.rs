//! The names of the files that follow from scores.

use std::path::{Path, PathBuf};

/// The files that follow from scores, in the directory of a run.
#[derive(Clone, Debug)]
pub(crate) struct CallFiles {
    pub(crate) sequences: PathBuf,
    pub(super) regions: PathBuf,
    pub(super) viral: PathBuf,
    pub(super) provirus_letters: PathBuf,
    pub(super) provirus_bed: PathBuf,
    pub(super) provirus_gff: PathBuf,
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
            plots: file("plots"),
        }
    }

    /// All but the directory of plots.
    pub(crate) fn all(&self) -> [&Path; 6] {
        let CallFiles { sequences, regions, viral, provirus_letters, provirus_bed, provirus_gff, plots: _ } =
            self;
        [sequences, regions, viral, provirus_letters, provirus_bed, provirus_gff].map(PathBuf::as_path)
    }
}
