//! `virpack completions`.

use crate::failure::Failure;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

/// What `virpack completions` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Writes the completions to stdout.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut crate::Arguments::command(), "virpack", &mut script);
    Ok(std::io::Write::write_all(&mut std::io::stdout(), &script)?)
}
