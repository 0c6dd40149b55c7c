//! `virpack commit`.

use super::call_summary::call_lines;
use super::calls::{CallArguments, CallFileArguments};
use super::limits::LimitArguments;
use super::output::{DtypeOut, Format};
use super::predict::{looks_like_file, warn};
use crate::again;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::noted::warn_of_records;
use crate::stdout::{refuse_terminal, shown};
use crate::text::count;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use virpack_core::calls::CallOptions;
use virpack_core::output::{OutputDtype, OutputFormat};
use virpack_core::plan::{CommitOptions, Plan, commit};
use virpack_seq::shown_path;

/// The arguments of `virpack commit`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory of the plan and its parts, or its URL
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Also join the parts: into the file that `virpack embed -o FILE` would have written (.npy, .parquet,
    /// .arrows, .safetensors or .h5), or into the directory that `virpack predict -o DIR` would have written,
    /// for which the inputs are read again; `-` is standard output
    #[arg(long, short, value_name = "FILE|DIR")]
    output: Option<PathBuf>,

    /// File format [default: by the ending of the file's name]
    #[arg(long, value_enum, value_name = "FORMAT", requires = "output")]
    format: Option<Format>,

    /// Precision of the values in the file [default: that of the parts]
    #[arg(long, value_enum, value_name = "DTYPE", requires = "output")]
    dtype_out: Option<DtypeOut>,

    /// Replace existing files
    #[arg(long, requires = "output")]
    force: bool,

    /// Print no summary; only warnings and errors
    #[arg(long, short)]
    quiet: bool,

    /// Number repeated ids, as `virpack predict --unique-ids` does
    #[arg(long, requires = "output", help_heading = "Tables of predict")]
    unique_ids: bool,

    #[command(flatten, next_help_heading = "Tables of predict")]
    files: CallFileArguments,

    #[command(flatten, next_help_heading = "Tables of predict")]
    calls: CallArguments,

    #[command(flatten, next_help_heading = "Tables of predict")]
    limits: LimitArguments,

    /// The complete command line, the program's name first.
    #[arg(skip)]
    pub(crate) command_line: Vec<OsString>,
}

/// Commits, with a summary line on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(path) = &arguments.output {
        refuse_terminal(path)?;
    }
    let plan = Plan::open(&arguments.directory)?;
    arguments.check(&plan)?;
    let options = CommitOptions::new(&arguments.directory)
        .output(arguments.output.clone())
        .format(arguments.format.map(OutputFormat::from))
        .dtype_out(arguments.dtype_out.map(OutputDtype::from))
        .calls(arguments.files.options(arguments.calls.options(CallOptions::default())?))
        .unique_ids(arguments.unique_ids)
        .limits(arguments.limits.limits())
        .command(again::command(&arguments.command_line))
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
        if plan.command() == "predict" {
            count(committed.records, "record", "records")
        } else {
            count(committed.rows, "row", "rows")
        },
        count(committed.parts, "part", "parts"),
    ));
    if let (Some(joined), Some(asked)) = (&committed.joined, &arguments.output) {
        warn_of_records(log, joined, None);
        let output = joined.files.first().unwrap_or(asked);
        log.info(format_args!("{}: {}", shown(output), count(joined.rows, "row", "rows")));
    }
    if let (Some(predicted), Some(output)) = (&committed.predicted, &arguments.output) {
        warn(log, predicted);
        log.summary(call_lines(&predicted.calls, plan.model(), &predicted.files, output), &predicted.report);
    }
    Ok(())
}

impl Arguments {
    /// Checks that every option applies to the plan.
    fn check(&self, plan: &Plan) -> Result<(), Failure> {
        let is_predict = plan.command() == "predict";
        let of_embed = [("--format", self.format.is_some()), ("--dtype-out", self.dtype_out.is_some())];
        let of_predict = [("--unique-ids", self.unique_ids)]
            .into_iter()
            .chain(self.files.given())
            .chain(self.calls.given());
        let mut unused =
            of_embed.into_iter().filter(|_| is_predict).chain(of_predict.filter(|_| !is_predict));
        if let Some((option, _)) = unused.find(|(_, is_given)| *is_given) {
            return Err(Failure::NotOfPlan { option, command: plan.command() });
        }
        let mut of_output = self.files.given().into_iter().chain(self.calls.given());
        if let Some((option, _)) = of_output.find(|(_, is_given)| *is_given && self.output.is_none()) {
            return Err(Failure::WithoutOutput { option });
        }
        match &self.output {
            Some(path) if is_predict && looks_like_file(path) => {
                Err(Failure::OutputLooksLikeFile { path: path.clone() })
            }
            _ => Ok(()),
        }
    }
}
