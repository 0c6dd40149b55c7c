//! Checks all parts of a plan, and joins them: by a manifest, or as one file.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use virpack_device::available_memory;
use virpack_model::guarded;
use virpack_seq::ReadLimits;

use super::part_report::PartReport;
use super::part_state::{Look, PartProblem};
use super::planned::{is_own, number_of, part_name};
use super::{Plan, PlanProblem, join, join_scores};
use crate::Error;
use crate::calls::CallOptions;
use crate::files::{FileProblem, PendingFile, place};
use crate::options::setters;
use crate::output::{OutputDtype, OutputFormat, OutputSummary, about};
use crate::predict::{PredictOptions, PredictSummary};

/// The plan to commit, and its output.
///
/// ```
/// use virpack_core::plan::CommitOptions;
///
/// let options = CommitOptions::new("plan").output(std::path::PathBuf::from("emb.npy"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommitOptions {
    pub(super) directory: PathBuf,
    pub(super) output: Option<PathBuf>,
    pub(super) format: Option<OutputFormat>,
    pub(super) dtype_out: Option<OutputDtype>,
    pub(super) force: bool,
    pub(super) calls: CallOptions,
    pub(super) unique_ids: bool,
    pub(super) limits: ReadLimits,
    pub(super) command: Option<String>,
}

impl CommitOptions {
    /// Returns the options for the plan in a directory, with a manifest beside its parts.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        CommitOptions {
            directory: directory.into(),
            output: None,
            format: None,
            dtype_out: None,
            force: false,
            calls: CallOptions::default(),
            unique_ids: false,
            limits: ReadLimits::fitting(available_memory()),
            command: None,
        }
    }

    setters! {
        /// Sets the file into which the parts are also joined, or for `predict` the directory of the
        /// tables; None: the parts are not joined.
        output: impl Into<Option<PathBuf>>,
        /// Sets the format of the file; None: by the extension of the name. For `embed` only.
        format: impl Into<Option<OutputFormat>>,
        /// Sets the type of its values; None: that of the parts. For `embed` only.
        dtype_out: impl Into<Option<OutputDtype>>,
        /// Replaces files that exist.
        force: bool,
        /// Sets what is called viral, and which files list it. Without columns for VirNucPro's files, those
        /// of the plan apply. This and all options below are for `predict` only.
        calls: CallOptions,
        /// Makes ids unique, as [`PredictOptions::unique_ids`](crate::predict::PredictOptions::unique_ids).
        unique_ids: bool,
        /// Sets the largest record and the largest header of the inputs, which are read again.
        limits: ReadLimits,
        /// Sets the command line that `run.json` and the page show.
        command: impl Into<Option<String>>,
    }
}

/// The results of a commit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommitSummary {
    /// The number of parts.
    pub parts: u64,
    /// Records of all inputs.
    pub records: u64,
    /// Records with an embedding.
    pub rows: u64,
    /// Records without an embedding, each with a reason.
    pub skipped: u64,
    /// The manifest.
    pub manifest: PathBuf,
    /// Whether the manifest existed before.
    pub was_there: bool,
    /// Temporary files of stopped runs that were removed.
    pub removed: u64,
    /// The number of kinds of devices that made the parts: if there are several, values may differ in their
    /// last digits.
    pub kinds: u64,
    /// What was written, if the parts were joined to a file.
    pub joined: Option<OutputSummary>,
    /// What was written, if the parts were joined to the tables of a run.
    pub predicted: Option<Box<PredictSummary>>,
}

/// The output into which the parts are joined.
enum Output {
    File(join::Joined),
    Tables(Box<PredictOptions>),
}

/// Checks that every part of a plan exists with all its bytes, removes the leftovers of stopped runs beside
/// them, and writes the manifest. If the options name a file, joins the parts into the file that
/// [`embed`](crate::embed) would have written. For a plan of `predict` they name a directory, which gets
/// the files that [`predict`](crate::predict::predict) would have written; the inputs are then read again.
///
/// ```
/// use virpack_core::Error;
/// use virpack_core::plan::{CommitOptions, PlanOptions, commit, plan};
///
/// # let folder = tempfile::tempdir()?;
/// let directory = folder.path().join("plan");
/// let inputs = vec!["../../examples/proteins.fasta".into()];
/// plan(&PlanOptions::new(inputs, "virpack-mini", &directory).part_tokens(400_u64), |_event| ())?;
/// // No part exists yet.
/// let Err(Error::Plan(error)) = commit(&CommitOptions::new(&directory)) else { panic!("committed") };
/// assert_eq!(error.parts().as_deref(), Some("1-2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`PlanError`](super::PlanError) with the parts that are missing, torn or from another plan, or if
/// another manifest exists; and an error if a file cannot be written.
pub fn commit(options: &CommitOptions) -> Result<CommitSummary, Error> {
    let plan = Plan::open(&options.directory)?;
    let output = match (&options.output, plan.command()) {
        (None, _) => None,
        (Some(path), "predict") => Some(Output::Tables(Box::new(join_scores::check(&plan, path, options)?))),
        (Some(path), _) => Some(Output::File(join::check(&plan, path, options)?)),
    };
    let reports = check_parts(&plan)?;
    let removed = remove_leftovers(&plan)?;
    let was_there = write_manifest(&plan, &reports)?;
    let (mut joined, mut predicted) = (None, None);
    match output {
        Some(Output::File(file)) => joined = Some(join::join(&plan, &reports, file)?),
        Some(Output::Tables(run)) => {
            predicted = Some(Box::new(join_scores::join(&plan, &reports, &run)?));
        }
        None => (),
    }
    let sum = |of: fn(&PartReport) -> u64| reports.iter().map(of).sum();
    Ok(CommitSummary {
        parts: reports.len() as u64,
        records: sum(|report| report.records),
        rows: sum(|report| report.rows),
        skipped: sum(|report| report.skipped.len() as u64),
        manifest: plan.manifest_path(),
        was_there,
        removed,
        kinds: kinds(&reports).len() as u64,
        joined,
        predicted,
    })
}

/// Returns the reports of all parts, after checking that each part exists, and no others.
fn check_parts(plan: &Plan) -> Result<Vec<PartReport>, PlanProblem> {
    let (mut reports, mut problems) = (Vec::<PartReport>::new(), Vec::new());
    for (number, state) in plan.states(Look::Bytes) {
        match (state, reports.first()) {
            (Ok(report), Some(first)) if report.dtype != first.dtype => {
                let what =
                    format!("computed in {}, and part {} in {}", report.dtype, first.number, first.dtype);
                problems.push((number, PartProblem::Foreign(what)));
            }
            (Ok(report), _) => reports.push(report),
            (Err(PartProblem::NoAnswer { path, source }), _) => {
                return Err(PlanProblem::Read { path, source });
            }
            (Err(problem), _) => problems.push((number, problem)),
        }
    }
    if !problems.is_empty() {
        let parts = plan.parts().len() as u64;
        let (directory, command) = (plan.directory.clone(), plan.command());
        return Err(PlanProblem::Parts { directory, command, problems, parts });
    }
    let names = place::names(&plan.directory);
    for name in names.map_err(|source| PlanProblem::Read { path: plan.directory.clone(), source })? {
        if number_of(&name).is_some_and(|number| plan.part(number).is_err()) {
            return Err(PlanProblem::ForeignFile { path: place::join(&plan.directory, &name) });
        }
    }
    Ok(reports)
}

/// Removes the temporary files of a plan's files, and returns their number.
fn remove_leftovers(plan: &Plan) -> Result<u64, Error> {
    let mut removed = 0;
    for directory in [plan.directory.clone(), plan.reports()] {
        // A store has no temporary files.
        if place::url_of(&directory).is_some() {
            break;
        }
        for entry in entries(&directory)? {
            let name = entry.file_name();
            let target = name.to_str().and_then(PendingFile::target_of);
            if target.is_some_and(is_own) && guarded::is_regular(&entry) {
                fs::remove_file(entry.path()).map_err(FileProblem::write(&entry.path()))?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>, PlanProblem> {
    let read = || fs::read_dir(directory)?.collect::<std::io::Result<_>>();
    read().map_err(|source| PlanProblem::Read { path: directory.into(), source })
}

/// Returns what the bits of parts depend on, each kind once.
pub(super) fn kinds(reports: &[PartReport]) -> Vec<&Vec<String>> {
    let mut kinds: Vec<_> = reports.iter().flat_map(|report| &report.computed_by).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Writes the manifest unless it exists, and returns whether it existed.
fn write_manifest(plan: &Plan, reports: &[PartReport]) -> Result<bool, Error> {
    let path = plan.manifest_path();
    let text = about::text(&manifest(plan, reports));
    let written = PendingFile::whole(&path, text.as_bytes())?;
    if written.publish_new().map_err(FileProblem::write(&path))? {
        return Ok(false);
    }
    let there = place::read(&path, text.len() as u64 + 1);
    let there = there.map_err(|source| PlanProblem::Read { path: path.clone(), source })?;
    if there != text.as_bytes() {
        return Err(PlanProblem::OtherManifest { path }.into());
    }
    Ok(true)
}

fn manifest(plan: &Plan, reports: &[PartReport]) -> Map<String, Value> {
    let part = |report: &PartReport| {
        json!({
            "part": report.number,
            "file": part_name(report.number),
            "records": report.records,
            "rows": report.rows,
            "skipped": report.skipped.len(),
            "bytes": report.bytes,
            "sha256": report.sha256,
        })
    };
    let sum = |of: fn(&PartReport) -> u64| reports.iter().map(of).sum::<u64>();
    let manifest = json!({
        "virpack": env!("CARGO_PKG_VERSION"),
        "plan": plan.name,
        "inputs": plan.facts.inputs_json(),
        "dtype": reports.first().map(|report| &report.dtype),
        "computed_by": kinds(reports),
        "records": sum(|report| report.records),
        "rows": sum(|report| report.rows),
        "skipped": sum(|report| report.skipped.len() as u64),
        "tokens": sum(|report| report.tokens),
        "parts": reports.iter().map(part).collect::<Value>(),
    });
    let Value::Object(mut manifest) = manifest else { unreachable!("it was written as an object") };
    manifest.extend(plan.facts.work.to_json());
    manifest
}
