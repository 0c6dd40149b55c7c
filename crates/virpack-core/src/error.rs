//! What can go wrong between a model's name and an output file.

mod hints;

use std::path::PathBuf;

use crate::devices::DeviceChoice;
use crate::files::FileProblem;
use crate::html::HtmlError;
use crate::merge::{MergeError, MergeProblem};
use crate::output::{OutputDtype, OutputError};
use crate::plan::{PlanError, PlanProblem};
use crate::report::ReportError;
use crate::resume::{FolderProblem, ResumeError, SavedWork};
use virpack_device::{DeviceError, Dtype as DeviceDtype, Unavailable};
use virpack_model::{HoldsModelError, ModelError};
use virpack_seq::{Shard, ThreadError, shown_path};

/// What can go wrong, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model could not be found, fetched or read.
    #[error(transparent)]
    Model(#[from] ModelError),

    // --- classifiers: predict ---
    /// A classifier of nucleotides alone that takes vectors of another width.
    #[error("{} takes {width} features, but the nucleotide model gives {nucleotide}", shown_path(path))]
    NucleotideClassifierWidth {
        /// The classifier's file.
        path: PathBuf,
        /// Features that it takes.
        width: usize,
        /// Width of the nucleotide model.
        nucleotide: usize,
    },
    /// A joint classifier without a convolutional codon model, or the other way round.
    #[error(
        "{} takes {}, and the nucleotide model is {family}", shown_path(path),
        if *is_joint { "the vectors of open frames" } else { "all six frames (virpack.features is joint)" }
    )]
    ClassifierFeatures {
        /// The classifier's file.
        path: PathBuf,
        /// What the nucleotide model is.
        family: &'static str,
        /// Whether that model needs a joint classifier.
        is_joint: bool,
    },
    /// A joint classifier that takes other features than the models give.
    #[error("{} takes {width} features, but these models give {expected}", shown_path(path))]
    JointClassifierWidth {
        /// The classifier's file.
        path: PathBuf,
        /// Features that it takes.
        width: usize,
        /// Features that there are: twice the mean and largest values of the nucleotide model, the protein
        /// model's mean, and four facts.
        expected: usize,
    },
    /// A classifier of nucleotides alone beside a joint one.
    #[error(
        "{}: no chunk is left for it, as the joint classifier takes those without an open frame, too",
        shown_path(path)
    )]
    ClassifierBeside {
        /// The file of the classifier of nucleotides.
        path: PathBuf,
    },
    /// Two classifiers for chunks of different lengths.
    #[error(
        "{} was trained on chunks of {} bases, {} on chunks of {}",
        shown_path(&paths[0]), lengths[0], shown_path(&paths[1]), lengths[1]
    )]
    ClassifierLengths {
        /// The files.
        paths: [PathBuf; 2],
        /// Bases of the chunks of each.
        lengths: [usize; 2],
    },
    /// A directory that lacks a model or all classifiers.
    #[error("{}: no {missing}", shown_path(path))]
    NoBundle {
        /// The directory.
        path: PathBuf,
        /// What is not there.
        missing: String,
    },
    /// A calibration of records that is none.
    #[error("{}: {source}", shown_path(path))]
    Calibration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: crate::verdict::CalibrationError,
    },
    // --- running: runner.rs, embed.rs ---
    /// A device refused or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A device that was asked for and cannot be used.
    #[error("{device} cannot be used: {why}")]
    Unavailable {
        /// The device.
        device: DeviceChoice,
        /// The reason, and what to do about it.
        why: Unavailable,
    },
    /// A precision that the CPU does not compute in.
    #[error("the CPU computes in float32 or bfloat16, not in {dtype}")]
    CpuDtype {
        /// What was asked for.
        dtype: DeviceDtype,
        /// Whether the CPU was taken for want of a GPU.
        auto: bool,
    },
    /// The input could not be read, cut or packed.
    #[error(transparent)]
    Seq(#[from] virpack_seq::SeqError),
    /// The output could not be made or written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A run cannot go on where another one ended.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// Shards cannot be joined.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A plan, or its parts, are not as they must be.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A finished run cannot be judged again.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A page of HTML cannot be made.
    #[error(transparent)]
    Html(#[from] HtmlError),
    /// A shard of an input that cannot be read again.
    #[error("a shard is read from files, and {input} is a pipe or a URL")]
    ShardOfPipe {
        /// The input.
        input: String,
    },
    /// A shard under a name that is not a shard's.
    #[error("{} would pass for all rows, and has those of shard {shard}", shown_path(path))]
    ShardName {
        /// The output as it was named.
        path: PathBuf,
        /// The shard.
        shard: Shard,
    },
    /// A shard of another type than float32.
    #[error("a shard holds float32, not {dtype}")]
    ShardDtype {
        /// What was asked for.
        dtype: OutputDtype,
    },
    /// The run was told to stop.
    #[error("interrupted: {}", match kept {
        None => "nothing is kept".to_owned(),
        Some(saved) => format!("{saved} are kept in {}", shown_path(&saved.folder)),
    })]
    Interrupted {
        /// What need not be computed again; None where that is nothing.
        kept: Option<SavedWork>,
    },
    /// A thread did not start, or panicked.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// A device that gave no results for too long.
    #[error("device {device} held a batch for more than {seconds} s")]
    Hung {
        /// Its place among the devices asked for.
        device: usize,
        /// Seconds it was waited for.
        seconds: u64,
    },
    /// Several devices for what runs on one.
    #[error("{device} names several devices, and this command runs on one")]
    OneDevice {
        /// What was asked for.
        device: DeviceChoice,
    },
    /// Records of several windows of which some never came: a fault of virpack's.
    #[doc(hidden)]
    #[error("{records} records lack some of their windows")]
    WindowsMissing {
        /// How many records.
        records: usize,
    },
    /// Windows of records whose residues keep their rows.
    #[error(
        "long records cannot be cut into windows where each residue has its row: a record's rows are written together, and \
         a record in windows can have any number of them"
    )]
    ResidueWindows,
    /// Frames whose embeddings never came: a fault of virpack's.
    #[doc(hidden)]
    #[error("{places} records, chunks or frames never had their embeddings")]
    EmbeddingsMissing {
        /// How many.
        places: usize,
    },
    /// A model of the wrong kind.
    #[error("{}: {option} names {given} here, and must name {wanted}", shown_path(path))]
    WrongModel {
        /// The model's file or directory.
        path: PathBuf,
        /// The field of [`PredictOptions`](crate::predict::PredictOptions) that named it.
        option: &'static str,
        /// What it is.
        given: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// A fraction outside 0 to 1.
    #[error("{option} must be between 0 and 1, and is {given}")]
    NoShare {
        /// The field's name in [`CallOptions`](crate::calls::CallOptions), or what it stands for.
        option: &'static str,
        /// What was asked for.
        given: f64,
    },
    /// Embeddings with NaN or infinity.
    #[error("NaN or infinity in the embeddings of {}", list(ids))]
    NotFinite {
        /// The records of the batch that have them.
        ids: Vec<String>,
    },
    /// A layer that the model does not have.
    #[error("no layer {layer}: the model has {layers}")]
    NoLayer {
        /// What was asked for.
        layer: i64,
        /// Layers of the model.
        layers: usize,
    },
}

impl HoldsModelError for Error {
    fn into_model(self) -> Result<ModelError, Error> {
        match self {
            Error::Model(error) => Ok(error),
            other => Err(other),
        }
    }
}

impl From<MergeProblem> for Error {
    fn from(problem: MergeProblem) -> Error {
        Error::Merge(problem.into())
    }
}

impl From<PlanProblem> for Error {
    fn from(problem: PlanProblem) -> Error {
        Error::Plan(problem.into())
    }
}

impl From<FolderProblem> for Error {
    fn from(problem: FolderProblem) -> Error {
        Error::Resume(problem.into())
    }
}

impl From<FileProblem> for Error {
    fn from(error: FileProblem) -> Error {
        Error::Output(error.into())
    }
}

impl Error {
    /// Whether virpack is at fault, and neither the input nor the options.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Error::WindowsMissing { .. }
                | Error::EmbeddingsMissing { .. }
                | Error::Output(
                    OutputError::Duplicate { .. }
                        | OutputError::Missing { .. }
                        | OutputError::Surplus { .. }
                        | OutputError::Width { .. }
                        | OutputError::UnknownSource { .. }
                        | OutputError::Encode { .. }
                )
        ) || matches!(self, Error::Thread(error) if error.is_fault())
            || matches!(self, Error::Device(error) if error.is_fault())
            || matches!(self, Error::Seq(error) if error.is_fault())
            || matches!(self, Error::Model(error) if error.is_fault())
    }
}

/// The first few names and how many more.
fn list(ids: &[String]) -> String {
    let shown = ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > 5 { format!("{shown} and {} more", ids.len() - 5) } else { shown }
}
