//! Standard output: that of commands that print their result, and `-o -`.

use crate::failure::Failure;
use std::io::{IsTerminal, StdoutLock};
use std::path::Path;
use virpack_core::device::stdout_was_closed;
use virpack_core::output::is_stdout;
use virpack_seq::shown_path;

/// Returns standard output for a command that prints its result; an error if it was closed (`>&-`), because
/// what is written to it then is lost.
pub(crate) fn open() -> Result<StdoutLock<'static>, Failure> {
    if stdout_was_closed() { Err(Failure::StdoutClosed) } else { Ok(std::io::stdout().lock()) }
}

/// Refuses to send binary data to a terminal.
pub(crate) fn refuse_terminal(output: &Path) -> Result<(), Failure> {
    if is_stdout(output) && std::io::stdout().is_terminal() {
        return Err(Failure::BinaryToTerminal);
    }
    Ok(())
}

/// Returns the name of an output for messages.
pub(crate) fn shown(output: &Path) -> String {
    if is_stdout(output) { "standard output".to_owned() } else { shown_path(output) }
}
