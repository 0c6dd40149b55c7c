//! Joins the parts of a plan into the file that one run would have written.

use std::path::{Path, PathBuf};

use virpack_seq::Input;

use super::commit::CommitOptions;
use super::part_report::PartReport;
use super::{Plan, PlanProblem};
use crate::Error;
use crate::output::{self, OutputDtype, OutputOptions, OutputSummary, PartRows};

/// The file into which parts are joined.
pub(super) struct Joined {
    path: PathBuf,
    options: OutputOptions,
}

/// Checks that the requested file can be written.
pub(super) fn check(plan: &Plan, path: &Path, options: &CommitOptions) -> Result<Joined, Error> {
    let parts = plan.rows()?.1.dtype_out;
    let dtype = options.dtype_out.unwrap_or(parts);
    if parts == OutputDtype::F16 && dtype != parts {
        return Err(PlanProblem::Narrow { asked: dtype.to_string() }.into());
    }
    if plan.has_file(path) {
        return Err(PlanProblem::OwnFile { path: path.to_path_buf() }.into());
    }
    let layout = OutputOptions { force: options.force, format: options.format, dtype, ..plan.layout()? };
    let own = plan.parts().iter().map(|part| Input::Path(plan.part_path(part.number)));
    let inputs: Vec<Input> = plan.inputs().into_iter().chain(own).collect();
    output::check(path, &layout, &inputs)?;
    let names = output::names(path, &layout)?;
    output::check_apart_from_models(names.iter().map(PathBuf::as_path), plan.rows()?.0.disk_files())?;
    Ok(Joined { path: path.to_path_buf(), options: layout })
}

/// Joins checked parts, in the order of their records.
pub(super) fn join(plan: &Plan, reports: &[PartReport], joined: Joined) -> Result<OutputSummary, Error> {
    let hidden = plan.rows()?.0.hidden;
    let mut out = output::create(&joined.path, hidden, joined.options)?;
    let layout = plan.layout()?;
    for (part, report) in plan.parts().iter().zip(reports) {
        let range = &part.range;
        let mut skipped = report.skipped.iter().peekable();
        let mut rows = PartRows::open(&plan.part_path(part.number), hidden, range.source, &layout)?;
        for record in range.record..range.record + range.records {
            if let Some(skip) = skipped.next_if(|skip| skip.record == record) {
                out.skip(skip)?;
            } else if let Some((row, values)) = rows.next(record)? {
                out.write(row, values)?;
            }
        }
    }
    Ok(out.finish(plan.facts.records)?)
}
