//! The errors between a model's name and an output file.

mod hints;
mod opaque;
mod setting;

use crate::devices::DeviceChoiceError;
use crate::files::FileProblem;
use crate::merge::MergeError;
use crate::output::OutputError;
use crate::plan::PlanError;
use crate::predict::BundleError;
use crate::report::ReportError;
use crate::resume::{FolderProblem, ResumeError, ResumeProblem, SavedWork};
use virpack_device::DeviceError;
use virpack_model::{HoldsModelError, ModelError};
use virpack_seq::{ThreadError, shown_path};

pub(crate) use opaque::opaque;
pub use setting::SettingError;
pub(crate) use setting::SettingProblem;

/// An error of a run, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model that could not be found, fetched or read.
    #[error(transparent)]
    Model(#[from] ModelError),

    /// Models and classifiers that do not belong together.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A device that refused or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A device that cannot be used as requested.
    #[error(transparent)]
    DeviceChoice(#[from] DeviceChoiceError),
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
    /// A run that was interrupted.
    #[error("interrupted: {}", match kept {
        None => "nothing is kept".to_owned(),
        Some(saved) => format!("{saved} are kept in {}", shown_path(&saved.folder)),
    })]
    Interrupted {
        /// The work that need not be computed again; None if there is none.
        kept: Option<SavedWork>,
    },
    /// A setting that cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
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
    /// Records of several windows, some of which were never returned: a fault of virpack.
    #[doc(hidden)]
    #[error("{records} records lack some of their windows")]
    WindowsMissing {
        /// The number of records.
        records: usize,
    },
    /// Frames whose embeddings were never returned: a fault of virpack.
    #[doc(hidden)]
    #[error("{places} records, chunks or frames never had their embeddings")]
    EmbeddingsMissing {
        /// The number of frames.
        places: usize,
    },
    /// Embeddings with NaN or infinity.
    #[error("NaN or infinity in the embeddings of {}", list(ids))]
    NotFinite {
        /// The records of the batch that have them.
        ids: Vec<String>,
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

impl From<FolderProblem> for Error {
    fn from(problem: FolderProblem) -> Error {
        ResumeProblem::from(problem).into()
    }
}

impl From<FileProblem> for Error {
    fn from(error: FileProblem) -> Error {
        Error::Output(error.into())
    }
}

impl Error {
    /// Returns whether virpack is at fault, and not the input or the options.
    ///
    /// ```
    /// use virpack_core::EmbedOptions;
    ///
    /// let options = EmbedOptions::new(vec!["no.fasta".into()], "virpack-mini", "emb.npy");
    /// let no_file = options.check().unwrap_err();
    /// assert!(!no_file.is_fault());
    /// ```
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self, Error::WindowsMissing { .. } | Error::EmbeddingsMissing { .. })
            || matches!(self, Error::Output(error) if error.is_fault())
            || matches!(self, Error::Thread(error) if error.is_fault())
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
