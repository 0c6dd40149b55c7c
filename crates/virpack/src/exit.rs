//! The exit codes of commands, and the report of a failure.

use crate::failure::Failure;
use crate::log::LogFormat;
use crate::messages;

/// Exit code for a fault of the input or the options.
pub(crate) const USER: u8 = 1;
/// Exit code for a fault of virpack.
pub(crate) const OURS: u8 = 2;

/// Exit code of a run that was interrupted, by Ctrl-C or a signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// Exit code of a run whose output was closed: what shells report for a program that SIGPIPE ended.
const CLOSED_PIPE: u8 = 141;

/// Reports a failure on stderr and returns the exit code.
pub(crate) fn report(failure: &Failure, log: LogFormat) -> u8 {
    if let Failure::Stdout(error) = failure
        && error.kind() == std::io::ErrorKind::BrokenPipe
    {
        // The reader has closed the pipe, as `head` does.
        return 0;
    }
    if let Failure::Virpack(virpack_core::Error::Output(error)) = failure
        && error.is_closed_pipe()
    {
        return CLOSED_PIPE;
    }
    let error = match failure {
        Failure::Virpack(error) => Some(error),
        Failure::Resumable { error, .. } | Failure::Reworded { error, .. } => Some(&**error),
        _ => None,
    };
    let code = match error {
        Some(virpack_core::Error::Interrupted { .. }) => INTERRUPTED,
        Some(error) if error.is_fault() => OURS,
        _ => USER,
    };
    log.error(messages::of_failure(failure), code);
    code
}
