//! The errors between a model's name and an output file.

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

/// An error of a run, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model that could not be found, fetched or read.
    #[error(transparent)]
    Model(#[from] ModelError),

    // --- classifiers: predict ---
    /// A classifier of nucleotides alone that takes vectors of another width.
    #[error("{} takes {width} features, but the nucleotide model gives {nucleotide}", shown_path(path))]
    NucleotideClassifierWidth {
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
    ClassifierFeatures {
        /// The classifier's file.
        path: PathBuf,
        /// What the nucleotide model is.
        family: &'static str,
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
        /// Bases of a chunk for each file.
        lengths: [usize; 2],
    },
    /// A directory that lacks a model or all classifiers.
    #[error("{}: no {missing}", shown_path(path))]
    NoBundle {
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
        source: crate::verdict::CalibrationError,
    },
    // --- running: runner.rs, embed.rs ---
    /// A device that refused or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A requested device that cannot be used.
    #[error("{device} cannot be used: {why}")]
    Unavailable {
        /// The device.
        device: DeviceChoice,
        /// The reason, and what to do about it.
        why: Unavailable,
    },
    /// A precision in which the CPU does not compute.
    #[error("the CPU computes in float32 or bfloat16, not in {dtype}")]
    CpuDtype {
        /// The requested precision.
        dtype: DeviceDtype,
        /// Whether the CPU was chosen because there is no GPU.
        auto: bool,
    },
    /// An input that could not be read, cut or packed.
    #[error(transparent)]
    Seq(#[from] virpack_seq::SeqError),
    /// An output that could not be created or written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A run that cannot be resumed.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// Shards that cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A plan or parts that are not valid.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A finished run that cannot be judged again.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A page of HTML that cannot be made.
    #[error(transparent)]
    Html(#[from] HtmlError),
    /// A shard of an input that cannot be read twice.
    #[error("a shard is read from files, and {input} is a pipe or a URL")]
    ShardOfPipe {
        /// The input.
        input: String,
    },
    /// A shard under the name of a complete output.
    #[error("{} would pass for all rows, and has those of shard {shard}", shown_path(path))]
    ShardName {
        /// The output as it was named.
        path: PathBuf,
        /// The shard.
        shard: Shard,
    },
    /// A shard of a type other than float32.
    #[error("a shard holds float32, not {dtype}")]
    ShardDtype {
        /// The requested type.
        dtype: OutputDtype,
    },
    /// A run that was interrupted.
    #[error("interrupted: {}", match kept {
        None => "nothing is kept".to_owned(),
        Some(saved) => format!("{saved} are kept in {}", shown_path(&saved.folder)),
    })]
    Interrupted {
        /// The work that need not be computed again; None if there is none.
        kept: Option<SavedWork>,
    },
    /// A thread that did not start, or panicked.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// A device that returned nothing for too long.
    #[error("device {device} held a batch for more than {seconds} s")]
    Hung {
        /// Its number among the requested devices.
        device: usize,
        /// The seconds that the run waited.
        seconds: u64,
    },
    /// Several devices for a command that runs on one.
    #[error("{device} names several devices, and this command runs on one")]
    OneDevice {
        /// The requested devices.
        device: DeviceChoice,
    },
    /// Records of several windows, some of which were never returned: a fault of virpack.
    #[doc(hidden)]
    #[error("{records} records lack some of their windows")]
    WindowsMissing {
        /// The number of records.
        records: usize,
    },
    /// Windows in combination with a row for every residue.
    #[error(
        "long records cannot be cut into windows where each residue has its row: a record's rows are written together, and \
         a record in windows can have any number of them"
    )]
    ResidueWindows,
    /// Frames whose embeddings were never returned: a fault of virpack.
    #[doc(hidden)]
    #[error("{places} records, chunks or frames never had their embeddings")]
    EmbeddingsMissing {
        /// The number of frames.
        places: usize,
    },
    /// A model of the wrong kind.
    #[error("{}: {option} names {given} here, and must name {wanted}", shown_path(path))]
    WrongModel {
        /// The model's file or directory.
        path: PathBuf,
        /// The field of [`PredictOptions`](crate::predict::PredictOptions) that named it.
        option: &'static str,
        /// The kind that it is.
        given: &'static str,
        /// The kind that it must be.
        wanted: &'static str,
    },
    /// A fraction outside 0 to 1.
    #[error("{option} must be between 0 and 1, and is {given}")]
    NoShare {
        /// The name of the field in [`CallOptions`](crate::calls::CallOptions), or of the value.
        option: &'static str,
        /// The requested value.
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
        /// The requested layer.
        layer: i64,
        /// The number of layers of the model.
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
    /// Returns whether virpack is at fault, and not the input or the options.
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

impl Error {
    /// Returns whether what a run finished before this error may be of use to a run that resumes: not if
    /// inputs must be changed first, and not if virpack is at fault.
    pub(crate) fn can_resume(&self) -> bool {
        use virpack_seq::{InputError, SeqError};
        match self {
            Error::Seq(SeqError::Open { .. } | SeqError::Input(InputError::Read { .. })) => true,
            Error::Seq(SeqError::Thread(_)) => !self.is_fault(),
            Error::Seq(_) => false,
            _ => !self.is_fault(),
        }
    }
}

/// Lists the first few names, and counts the others.
fn list(ids: &[String]) -> String {
    let shown = ids.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > 5 { format!("{shown} and {} more", ids.len() - 5) } else { shown }
}
