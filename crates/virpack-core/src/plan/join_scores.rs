//! Joins the parts of a plan of `predict` into the directory that one run would have written.
//!
//! Scores come from the parts. Ids, descriptions and letters come from the inputs, which are read again.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use virpack_device::Dtype;
use virpack_model::size_and_sha256;
use virpack_seq::reader::{self, Change};
use virpack_seq::{Input, ReadOptions, Record};

use super::commit::{CommitOptions, kinds};
use super::facts::DTYPES;
use super::judges::Names;
use super::part_report::{PartReport, ScoredCounts};
use super::score_rows::{RecordScores, ScoreRows};
use super::{Plan, PlanProblem};
use crate::Error;
use crate::output::is_stdout;
use crate::predict::{JoinedFacts, JoinedTables, PredictOptions, PredictSummary};

/// Checks that the requested tables can be written, and returns the options of the run that would have
/// written them.
pub(super) fn check(plan: &Plan, output: &Path, options: &CommitOptions) -> Result<PredictOptions, Error> {
    let judges = plan.judges()?;
    let unused = [("format", options.format.is_some()), ("dtype_out", options.dtype_out.is_some())];
    if let Some((option, _)) = unused.into_iter().find(|(_, is_given)| *is_given) {
        return Err(PlanProblem::Option { option, planned: plan.command() }.into());
    }
    // What a plan has for a directory does not concern standard output.
    let planned = if is_stdout(output) { None } else { judges.compat };
    let named = plan.facts.inputs.iter().map(|input| Input::from(&*input.name)).collect();
    let run = judges
        .options(named, Names::AsGiven, output)
        .limits(options.limits)
        .unique_ids(options.unique_ids)
        .calls(options.calls.compat(options.calls.compat.or(planned)))
        .command(options.command.clone())
        .force(options.force);
    run.check_joined(&plan.inputs())?;
    check_inputs(plan, options)?;
    Ok(run)
}

/// Joins checked parts, in the order of their records.
pub(super) fn join(
    plan: &Plan,
    reports: &[PartReport],
    run: &PredictOptions,
) -> Result<PredictSummary, Error> {
    let (judges, inputs) = (plan.judges()?, plan.inputs());
    let mut out = JoinedTables::create(run, judges.length, &inputs)?;
    let reading = ReadOptions::default().limits(run.limits).checksums(true).unique_ids(run.unique_ids);
    let mut records = reader::open_with(&inputs, reading)?;
    for part in plan.parts() {
        let mut rows = ScoreRows::open(&plan.part_path(part.number), inputs.len() > 1)?;
        for _ in 0..part.range.records {
            let mut record = Record::default();
            let is_there = records.read(&mut record)?;
            match rows.of(&record, run.unique_ids)? {
                RecordScores::Of(chunks) if is_there => out.write(Arc::new(record), chunks)?,
                _ => return Err(of_another(&inputs, &record).into()),
            }
        }
        if !rows.is_at_end()? {
            return Err(of_another(&inputs, &Record::default()).into());
        }
    }
    let mut more = Record::default();
    if records.read(&mut more)? {
        return Err(of_another(&inputs, &more).into());
    }
    let reading = records.progress();
    for (i, (input, planned)) in inputs.iter().zip(&plan.facts.inputs).enumerate() {
        let read = reading.checksums().into_iter().find(|read| read.source as usize == i);
        if read.as_ref().is_none_or(|read| read.sha256 != planned.cut.sha256) {
            let hashed = size_and_sha256(planned.cut.bytes, &planned.cut.sha256);
            let read = read.map_or_else(String::new, |read| size_and_sha256(read.bytes, &read.sha256));
            let (path, change) = (input.path().into(), Change::Content { hashed, read });
            return Err(PlanProblem::Changed { path, change }.into());
        }
    }
    let mut counts = ScoredCounts::default();
    reports.iter().filter_map(|report| report.scored.as_ref()).for_each(|scored| counts.add(scored));
    let computed = reports.first().map(|report| &*report.dtype);
    let dtype = DTYPES.into_iter().find(|dtype| computed == Some(&*dtype.to_string()));
    let kinds: Vec<_> = kinds(reports).into_iter().map(|kind| kind.join(", ")).collect();
    out.finish(JoinedFacts {
        inputs: plan.facts.inputs.iter().map(|input| &input.cut).collect(),
        reading: &reading,
        identity: judges.identity.clone(),
        files: judges.files(),
        dtype: dtype.or(judges.dtype).unwrap_or(Dtype::F32),
        device: kinds.join("; "),
        frames: counts.frames,
        first_odd: counts.first_odd,
        tokens: counts.tokens,
        plan: json!({ "name": plan.name, "parts": reports.len() }),
    })
}

/// Checks that the inputs are unchanged, by size and time.
fn check_inputs(plan: &Plan, options: &CommitOptions) -> Result<(), Error> {
    let inputs = plan.inputs();
    let mut next = 0;
    for part in plan.parts().iter().filter(|part| {
        let is_first = part.range.source >= next;
        next = next.max(part.range.source + 1);
        is_first
    }) {
        let planned = &plan.facts.inputs[part.range.source as usize].cut;
        let opened = reader::open_range(&inputs, &part.range, planned, options.limits);
        opened.map(drop).map_err(PlanProblem::of_opening)?;
    }
    Ok(())
}

/// Returns the error of a record that was not scored.
fn of_another(inputs: &[Input], record: &Record) -> PlanProblem {
    let path = inputs.get(record.source as usize).map(|input| input.path().into()).unwrap_or_default();
    PlanProblem::OtherRecord { path, line: record.line, id: record.id.to_string() }
}
