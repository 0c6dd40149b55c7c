//! The error of models and classifiers that do not belong together.

use std::borrow::Cow;
use std::path::PathBuf;

use virpack_seq::{Hint, shown_path};

use crate::error::{Error, opaque};
use crate::verdict::CalibrationError;

opaque! {
    /// An error of models and classifiers that do not belong together, or of a directory that lacks some of
    /// them.
    pub struct BundleError(BundleProblem) in Error::Bundle;
}

impl BundleError {
    /// Returns whether a directory lacks a model or all classifiers.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        matches!(self.0, BundleProblem::Incomplete { .. })
    }

    /// Returns whether the classifier of nucleotides alone does not fit the models.
    #[must_use]
    pub fn is_nucleotide_width(&self) -> bool {
        matches!(self.0, BundleProblem::NucleotideWidth { .. })
    }

    /// Returns whether a classifier of nucleotides alone was named beside a joint one.
    #[must_use]
    pub fn is_beside_joint(&self) -> bool {
        matches!(self.0, BundleProblem::Beside { .. })
    }

    /// Returns whether a joint classifier does not fit the models.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        matches!(self.0, BundleProblem::Features { .. } | BundleProblem::JointWidth { .. })
    }
}

/// The problem, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleProblem {
    /// A classifier of nucleotides alone that takes vectors of another width.
    #[error("{} takes {width} features, but the nucleotide model gives {nucleotide}", shown_path(path))]
    NucleotideWidth {
        /// The classifier's file.
        path: PathBuf,
        /// The number of features that it takes.
        width: usize,
        /// The width of the nucleotide model.
        nucleotide: usize,
    },
    /// A joint classifier without a convolutional codon model.
    #[error(
        "{} takes all six frames (virpack.features is joint), and the nucleotide model is {family}",
        shown_path(path)
    )]
    Features {
        /// The classifier's file.
        path: PathBuf,
        /// The family of the nucleotide model.
        family: &'static str,
    },
    /// A joint classifier that takes other features than the models give.
    #[error("{} takes {width} features, but these models give {expected}", shown_path(path))]
    JointWidth {
        /// The classifier's file.
        path: PathBuf,
        /// The number of features that it takes.
        width: usize,
        /// The number of features that there are: twice the mean and largest values of the nucleotide model,
        /// the protein model's mean, and four facts.
        expected: usize,
    },
    /// A classifier of nucleotides alone beside a joint one.
    #[error(
        "{}: no chunk is left for it, as the joint classifier takes those without an open frame, too",
        shown_path(path)
    )]
    Beside {
        /// The file of the classifier of nucleotides.
        path: PathBuf,
    },
    /// Two classifiers for chunks of different lengths.
    #[error(
        "{} was trained on chunks of {} bases, {} on chunks of {}",
        shown_path(&paths[0]), lengths[0], shown_path(&paths[1]), lengths[1]
    )]
    Lengths {
        /// The files.
        paths: [PathBuf; 2],
        /// The bases of a chunk for each file.
        lengths: [usize; 2],
    },
    /// A directory that lacks a model or all classifiers.
    #[error("{}: no {missing}", shown_path(path))]
    Incomplete {
        /// The directory.
        path: PathBuf,
        /// The missing file or kind of file.
        missing: String,
    },
    /// A file that is not a calibration of records.
    #[error("{}: {source}", shown_path(path))]
    Calibration {
        /// The file.
        path: PathBuf,
        /// The problem.
        source: CalibrationError,
    },
}

impl Hint for BundleProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            BundleProblem::NucleotideWidth { .. } => {
                "a nucleotide classifier scores chunks without an open frame, by the nucleotide model alone"
            }
            BundleProblem::Features { .. } | BundleProblem::JointWidth { .. } => {
                "name models and classifiers of one directory, as they were trained together"
            }
            BundleProblem::Beside { .. } => "leave the nucleotide classifier out",
            BundleProblem::Lengths { .. } => "name two of one length",
            BundleProblem::Incomplete { .. } => {
                "such a directory has the models peptide/ and nucleotide/ and their classifiers, \
                 classifier_500.safetensors and nucleotide_classifier_500.safetensors; single models are \
                 named one by one, with their classifier"
            }
            BundleProblem::Calibration { source, .. } => return source.hint(),
        }))
    }
}
