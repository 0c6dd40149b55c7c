//! `virpack man`, for packages: it is in no help.

use crate::failure::Failure;
use clap::{Args, CommandFactory};
use std::path::PathBuf;

/// The arguments of `virpack man`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The directory that gets virpack.1 and a page for each command; it is made where it is missing
    directory: PathBuf,
}

/// Writes the manual pages.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(crate::Arguments::command(), directory))
        .map_err(|source| Failure::ManualPages { directory: directory.clone(), source })
}
