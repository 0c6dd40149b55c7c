//! `-o -`: an output to standard output.

use crate::failure::Failure;
use std::io::IsTerminal;
use std::path::Path;
use virpack_core::output::is_stdout;
use virpack_seq::shown_path;

/// Refuses to send what is not text to a terminal.
pub(crate) fn refuse_terminal(output: &Path) -> Result<(), Failure> {
    if is_stdout(output) && std::io::stdout().is_terminal() {
        return Err(Failure::BinaryToTerminal);
    }
    Ok(())
}

/// An output as messages name it.
pub(crate) fn shown(output: &Path) -> String {
    if is_stdout(output) { "standard output".to_owned() } else { shown_path(output) }
}
