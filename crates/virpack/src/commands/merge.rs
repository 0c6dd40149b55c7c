//! `virpack merge`.

use super::output::OutputArguments;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::noted::warn_of_records;
use crate::stdout::{refuse_terminal, shown};
use crate::text::count;
use clap::Args;
use std::path::PathBuf;
use virpack_core::{MergeOptions, merge};

/// The arguments of `virpack merge`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// All shards of one input, written by `virpack embed --shard I/N -o NAME.shard`, in any order
    #[arg(required = true, value_name = "SHARD")]
    shards: Vec<PathBuf>,

    #[command(flatten)]
    output: OutputArguments,

    /// Print no summary; only errors
    #[arg(long, short)]
    quiet: bool,

    /// Replace an existing output
    #[arg(long)]
    force: bool,
}

/// Merges, with a summary line on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    refuse_terminal(arguments.output.path())?;
    let options = MergeOptions::new(arguments.shards.clone(), arguments.output.path())
        .format(arguments.output.format())
        .dtype_out(arguments.output.dtype())
        .force(arguments.force);
    super::clean_up_when_interrupted();
    let written = merge(&options)?;
    let log = LogArguments::lines(arguments.quiet);
    warn_of_records(log, &written, None);
    let output = written.files.first().map_or(arguments.output.path(), PathBuf::as_path);
    let skipped = match written.skipped {
        0 => String::new(),
        n => format!(", {} skipped", count(n, "record", "records")),
    };
    log.info(format_args!(
        "{}: {} of {}{skipped}",
        shown(output),
        count(written.rows, "sequence", "sequences"),
        count(arguments.shards.len() as u64, "shard", "shards"),
    ));
    Ok(())
}
