//! `-o -`: writes the output to standard output.

use crate::failure::Failure;
use std::io::IsTerminal;
use std::path::Path;
use virpack_core::output::is_stdout;
use virpack_seq::shown_path;

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
