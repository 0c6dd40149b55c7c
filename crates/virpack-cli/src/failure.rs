//! What a failed command says and returns.

use crate::text::say;
use std::process::ExitCode;

/// Exit code for a fault of the input or the options.
pub(crate) const USER: u8 = 1;
/// Exit code for a fault of virpack's.
pub(crate) const OURS: u8 = 2;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something about the inputs, the model, the device or the output.
    #[error(transparent)]
    Virpack(#[from] virpack::Error),
    /// The picture could not be drawn.
    #[error(transparent)]
    Plot(#[from] crate::plot::PlotError),
    /// An option that would do nothing.
    #[error("--window-overlap does nothing without windows\nhint: add --long-records window")]
    OverlapWithoutWindows,
    /// Nothing more can be written to stdout.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[from] std::io::Error),
}

impl From<virpack_seq::SeqError> for Failure {
    fn from(error: virpack_seq::SeqError) -> Self {
        Failure::Virpack(error.into())
    }
}

impl Failure {
    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if let Failure::Stdout(error) = &self
            && error.kind() == std::io::ErrorKind::BrokenPipe
        {
            // Whoever read us has seen enough, as `head` has.
            return ExitCode::SUCCESS;
        }
        say(format_args!("error: {self}"));
        match &self {
            Failure::Virpack(error) if error.is_fault() => ExitCode::from(OURS),
            _ => ExitCode::from(USER),
        }
    }
}
