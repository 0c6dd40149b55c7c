//! `virpack commit`.

use super::output::{DtypeOut, Format};
use super::stdout::{refuse_terminal, shown};
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::noted::warn_of_records;
use crate::text::count;
use clap::Args;
use std::path::PathBuf;
use virpack_core::output::{OutputDtype, OutputFormat};
use virpack_core::plan::{CommitOptions, commit};
use virpack_seq::shown_path;

/// What `virpack commit` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The directory of the plan and its parts
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Also join the parts to one file, as `virpack embed -o FILE` would have written it: .npy, .parquet,
    /// .arrows, .safetensors or .h5; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The file's format, whatever its name ends in
    #[arg(long, value_enum, value_name = "FORMAT", requires = "output")]
    format: Option<Format>,

    /// Precision of the values in the file [default: that of the parts]
    #[arg(long, value_enum, value_name = "DTYPE", requires = "output")]
    dtype_out: Option<DtypeOut>,

    /// Replace a file that exists
    #[arg(long, requires = "output")]
    force: bool,

    /// No summary; only warnings and errors
    #[arg(long, short)]
    quiet: bool,
}

/// Commits, with a summary line on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.output {
        refuse_terminal(path)?;
    }
    let options = CommitOptions::new(&arguments.directory)
        .output(arguments.output.clone())
        .format(arguments.format.map(OutputFormat::from))
        .dtype_out(arguments.dtype_out.map(OutputDtype::from))
        .force(arguments.force);
    super::clean_up_when_interrupted();
    let committed = commit(&options)?;
    let log = LogArguments::lines(arguments.quiet);
    if committed.removed > 0 {
        let files = count(committed.removed, "temporary file", "temporary files");
        log.info(format_args!("{files} of stopped runs removed"));
    }
    if committed.kinds > 1 {
        log.warn(format_args!(
            "the parts come from {} kinds of devices, whose values differ in their last digits; the manifest \
             names them",
            committed.kinds
        ));
    }
    let skipped = match committed.skipped {
        0 => String::new(),
        n => format!(", {} skipped", count(n, "record", "records")),
    };
    let was_there = if committed.was_there { " (it was there already)" } else { "" };
    log.info(format_args!(
        "{}{was_there}: {} of {}{skipped}",
        shown_path(&committed.manifest),
        count(committed.rows, "row", "rows"),
        count(committed.parts, "part", "parts"),
    ));
    if let (Some(joined), Some(asked)) = (&committed.joined, &arguments.output) {
        warn_of_records(log, joined, None);
        let output = joined.files.first().unwrap_or(asked);
        log.info(format_args!("{}: {}", shown(output), count(joined.rows, "row", "rows")));
    }
    Ok(())
}
