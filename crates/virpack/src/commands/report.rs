//! `virpack report`.

use super::call_summary::call_lines;
use super::calls::{CallArguments, CallFileArguments};
use super::limits::LimitArguments;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::noted::warn_of_ids;
use crate::plot;
use crate::stdout::shown;
use crate::text::count;
use clap::Args;
use std::path::{Path, PathBuf};
use virpack_core::report::{FinishedRun, ReportOptions, ReportSummary, check_comparison, compare, report};

/// The arguments of `virpack report`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directories that `virpack predict` has written; several are also compared on one page
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,

    #[command(flatten, next_help_heading = "Output")]
    files: CallFileArguments,

    /// Do not read the inputs again: viral.fna and proviruses.fna are removed if they would change
    #[arg(long, help_heading = "Output")]
    no_fasta: bool,

    /// Page that compares several directories; it replaces an earlier such page and no other file
    /// [default: comparison.html]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    comparison: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Calls")]
    calls: CallArguments,

    #[command(flatten, next_help_heading = "Input")]
    limits: LimitArguments,

    /// Print no summary; only warnings and errors
    #[arg(long, short)]
    quiet: bool,
}

/// Judges each directory again, with a summary on stderr.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let log = LogArguments::lines(arguments.quiet);
    super::clean_up_when_interrupted();
    let runs = arguments.directories.iter().map(FinishedRun::open).collect::<Result<Vec<_>, _>>()?;
    refuse_twice(&runs)?;
    let page = arguments.page()?;
    if let Some(page) = page {
        check_comparison(page, &runs)?;
    }
    let mut judged = Vec::new();
    for run in runs {
        let was = run.calls().plot(run.has_plots().then_some(plot::track::DRAW));
        let options = ReportOptions::of(&run)
            .calls(arguments.files.options(arguments.calls.options(was)?))
            .sequences(!arguments.no_fasta)
            .limits(arguments.limits.limits());
        let summary = again(&run, &options, log)?;
        judged.push((run, summary));
    }
    if let Some(page) = page {
        compare(page, &judged)?;
        let runs = count(judged.len() as u64, "run", "runs");
        log.info(format_args!("{runs} compared: open {}", shown(page)));
    }
    Ok(())
}

impl Arguments {
    /// Returns the page that compares the runs, if there are several.
    fn page(&self) -> Result<Option<&Path>, Failure> {
        match (&self.comparison, &*self.directories) {
            (Some(_), [_]) => Err(Failure::NothingToCompare),
            (None, [_]) => Ok(None),
            (given, _) => Ok(Some(given.as_deref().unwrap_or(Path::new("comparison.html")))),
        }
    }
}

/// Refuses a directory that is named twice, by any of its names.
fn refuse_twice(runs: &[FinishedRun]) -> Result<(), Failure> {
    let mut seen: Vec<(PathBuf, &Path)> = Vec::new();
    for run in runs {
        let directory = run.directory();
        let Ok(full) = directory.canonicalize() else { continue };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == full) {
            return Err(Failure::RunTwice { first: first.to_path_buf(), second: directory.to_path_buf() });
        }
        seen.push((full, directory));
    }
    Ok(())
}

/// Judges a finished run again, with a summary.
pub(super) fn again(
    run: &FinishedRun,
    options: &ReportOptions,
    log: LogArguments,
) -> Result<ReportSummary, Failure> {
    let judged = report(run, options)?;
    warn_of_ids(log, &judged.calls.repeated);
    let mut lines = call_lines(&judged.calls, &run.model(), &judged.files, run.directory());
    let chunks = count(judged.calls.counts.chunks, "chunk", "chunks");
    lines += &format!("\n{chunks} judged again in {:.1} s", judged.elapsed.as_secs_f64());
    log.summary(lines, &judged.run_json);
    Ok(judged)
}
