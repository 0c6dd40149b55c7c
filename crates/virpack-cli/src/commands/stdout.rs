//! `-o -`: an output to standard output.

use crate::failure::Failure;
use std::io::IsTerminal;
use std::path::Path;
use virpack::output::is_stdout;

/// Refuses a terminal as the place of an output that is no text.
pub(crate) fn refuse_terminal(output: &Path) -> Result<(), Failure> {
    if is_stdout(output) && std::io::stdout().is_terminal() {
        return Err(Failure::BinaryToTerminal);
    }
    Ok(())
}

/// An output as messages name it.
pub(crate) fn shown(output: &Path) -> String {
    if is_stdout(output) { "standard output".to_owned() } else { output.display().to_string() }
}
