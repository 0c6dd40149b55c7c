//! What a failed command says and returns.

use crate::log::LogFormat;
use crate::messages;
use virpack_seq::shown_path;

/// Exit code for a fault of the input or the options.
pub(crate) const USER: u8 = 1;
/// Exit code for a fault of virpack's.
pub(crate) const OURS: u8 = 2;

/// Exit code of a run that was told to stop, by Ctrl-C or a signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// Exit code of a run whose output nothing reads to its end: what shells say of a program that SIGPIPE ended.
const CLOSED_PIPE: u8 = 141;

/// Why a command failed. What to do about it is in [`messages`](crate::messages).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something about the inputs, the model, the device or the output.
    #[error(transparent)]
    Virpack(#[from] virpack_core::Error),
    /// The same, in a run that another one can go on from.
    #[error("{error}")]
    Resumable {
        /// What went wrong.
        error: Box<virpack_core::Error>,
        /// What goes on from there.
        command: String,
    },
    /// The picture could not be drawn.
    #[error(transparent)]
    Plot(#[from] crate::plot::PlotError),
    /// An option that would do nothing.
    #[error("--window-overlap does nothing without windows")]
    OverlapWithoutWindows,
    /// Parts of no plan.
    #[error("--part needs --plan")]
    PartWithoutPlan,
    /// An option that a plan has no use for.
    #[error("{option} does not apply to a plan of `virpack {command}`")]
    NotOfPlan {
        /// The option.
        option: &'static str,
        /// The command that makes the plan's parts.
        command: &'static str,
    },
    /// An option of tables that are not asked for.
    #[error("{option} applies to the tables of -o DIR only")]
    WithoutOutput {
        /// The option.
        option: &'static str,
    },
    /// A model that means nothing without its classifier.
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
    /// What is no model with its classifiers.
    #[error("{model:?} is neither a directory nor a name of models with classifiers")]
    NoSuchBundle {
        /// What was asked for.
        model: String,
    },
    /// A file's name where a directory is meant.
    #[error("-o {} looks like a file, and `virpack predict` writes a directory of tables", shown_path(path))]
    OutputLooksLikeFile {
        /// What was asked for.
        path: std::path::PathBuf,
    },
    /// Records whose embeddings differ too much.
    #[error("{failed} of {compared} records exceed the tolerance")]
    Differs {
        /// Records that do not pass.
        failed: usize,
        /// Records compared.
        compared: usize,
    },
    /// A comparison of nothing proves nothing.
    #[error("none of {records} records could be compared")]
    NothingCompared {
        /// Records read.
        records: u64,
    },
    /// A shape that no published model has.
    #[error("no published model has the shape {shape:?}")]
    NoShape {
        /// What was asked for.
        shape: String,
    },
    /// A model that the benchmark does not run.
    #[error("{model} is a {family}, and `virpack bench` runs ESM-2")]
    BenchModel {
        /// What was asked for.
        model: String,
        /// What it is.
        family: &'static str,
    },
    /// What virpack does not compute.
    #[error(
        "contacts come from the attention weights, [residues, residues] for every head of every layer, and virpack never \
         makes them: its attention runs in one pass that keeps a running sum"
    )]
    Contacts,
    /// Bytes that no terminal shows.
    #[error("embeddings are not text, and standard output is a terminal")]
    BinaryToTerminal,
    /// The manual pages have no place.
    #[error("cannot write manual pages into {}: {source}", shown_path(directory))]
    ManualPages {
        /// Where they were to go.
        directory: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing more can be written to stdout.
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
    /// Whether a complete run has only other calls or other files than what was asked for.
    pub(crate) fn is_other_calls(&self) -> bool {
        use virpack_core::{Error, ResumeError};
        matches!(self, Failure::Virpack(Error::Resume(ResumeError::OtherCalls { .. })))
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(self, log: LogFormat) -> u8 {
        if let Failure::Stdout(error) = &self
            && error.kind() == std::io::ErrorKind::BrokenPipe
        {
            // Whoever read us has seen enough, as `head` has.
            return 0;
        }
        if let Failure::Virpack(virpack_core::Error::Output(error)) = &self
            && error.is_closed_pipe()
        {
            return CLOSED_PIPE;
        }
        let error = match &self {
            Failure::Virpack(error) => Some(error),
            Failure::Resumable { error, .. } => Some(&**error),
            _ => None,
        };
        let code = match error {
            Some(virpack_core::Error::Interrupted { .. }) => INTERRUPTED,
            Some(error) if error.is_fault() => OURS,
            _ => USER,
        };
        log.error(messages::of_failure(&self), code);
        code
    }
}
