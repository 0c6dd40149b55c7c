//! The errors of commands.

use virpack_seq::shown_path;

/// Why a command failed. The hint is in [`messages`](crate::messages).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An error of the inputs, the model, the device or the output.
    #[error(transparent)]
    Virpack(#[from] virpack_core::Error),
    /// The same, in a run that can be resumed.
    #[error("{error}")]
    Resumable {
        /// The error.
        error: Box<virpack_core::Error>,
        /// The command that resumes the run.
        command: String,
    },
    /// An error whose usual hint names options that this command lacks.
    #[error("{error}")]
    Reworded {
        /// The error.
        error: Box<virpack_core::Error>,
        /// What to do.
        hint: String,
    },
    /// A plot that could not be drawn.
    #[error(transparent)]
    Plot(#[from] crate::plot::PlotError),
    /// An option without effect.
    #[error("--window-overlap does nothing without windows")]
    OverlapWithoutWindows,
    /// A comparison of one run.
    #[error("--comparison compares the runs in several directories, and one is given")]
    NothingToCompare,
    /// One run that is named twice.
    #[error("{} and {} are the same directory", shown_path(first), shown_path(second))]
    RunTwice {
        /// Its name.
        first: std::path::PathBuf,
        /// Its other name, or the same.
        second: std::path::PathBuf,
    },
    /// Parts without a plan.
    #[error("--part needs --plan")]
    PartWithoutPlan,
    /// An option that does not apply to a plan.
    #[error("{option} does not apply to a plan of `virpack {command}`")]
    NotOfPlan {
        /// The option.
        option: &'static str,
        /// The command that makes the plan's parts.
        command: &'static str,
    },
    /// An option of tables that are not requested.
    #[error("{option} applies to the tables of -o DIR only")]
    WithoutOutput {
        /// The option.
        option: &'static str,
    },
    /// A model that needs its classifier.
    #[error("{option} needs the classifier that the models were trained with")]
    WithoutClassifier {
        /// The option.
        option: &'static str,
    },
    /// A published pipeline without its classifier.
    #[error("--preset {preset} needs {}, which is not in the working directory", shown_path(file))]
    NoPublishedClassifier {
        /// The preset.
        preset: &'static str,
        /// The classifier's name.
        file: std::path::PathBuf,
    },
    /// A value that does not name a model with classifiers.
    #[error("no models with classifiers: {model:?} is neither a directory nor virpack-mini")]
    NoSuchBundle {
        /// The value.
        model: String,
    },
    /// The name of a file where a directory is expected.
    #[error("-o {} looks like a file, and `virpack predict` writes a directory of tables", shown_path(path))]
    OutputLooksLikeFile {
        /// The value.
        path: std::path::PathBuf,
    },
    /// Records whose embeddings differ too much.
    #[error("{failed} of {compared} records exceed the tolerance")]
    Differs {
        /// Records that exceed the tolerance.
        failed: usize,
        /// Records compared.
        compared: usize,
    },
    /// A comparison without records.
    #[error("none of {records} records could be compared")]
    NothingCompared {
        /// Records read.
        records: u64,
    },
    /// A shape of no published model.
    #[error("no published model has the shape {shape:?}")]
    NoShape {
        /// The requested shape.
        shape: String,
    },
    /// A model that the benchmark does not support.
    #[error("{model} is a {family}, and `virpack bench` runs ESM-2")]
    BenchModel {
        /// The requested model.
        model: String,
        /// Its kind.
        family: &'static str,
    },
    /// A result that virpack does not compute.
    #[error(
        "contacts come from the attention weights, [residues, residues] for every head of every layer, and virpack never \
         makes them: its attention runs in one pass that keeps a running sum"
    )]
    Contacts,
    /// Binary data that would go to a terminal.
    #[error("embeddings are not text, and standard output is a terminal")]
    BinaryToTerminal,
    /// A result without a place to go.
    #[error("standard output is closed or open for reading only, and the result goes there")]
    StdoutClosed,
    /// Manual pages that could not be written.
    #[error("cannot write manual pages into {}: {source}", shown_path(directory))]
    ManualPages {
        /// Their directory.
        directory: std::path::PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A write to stdout that failed.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[from] std::io::Error),
}

impl From<virpack_seq::SeqError> for Failure {
    fn from(error: virpack_seq::SeqError) -> Self {
        Failure::Virpack(error.into())
    }
}

impl From<virpack_core::model::ModelError> for Failure {
    fn from(error: virpack_core::model::ModelError) -> Self {
        Failure::Virpack(error.into())
    }
}

impl Failure {
    /// Returns whether a complete run differs from the requested one only in its calls or files.
    pub(crate) fn is_other_calls(&self) -> bool {
        use virpack_core::{Error, ResumeErrorKind};
        matches!(self, Failure::Virpack(Error::Resume(error)) if error.kind() == ResumeErrorKind::OtherCalls)
    }
}
