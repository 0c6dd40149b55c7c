//! All parts of a plan, checked, and then made one: by a manifest, or as one file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;

use serde_json::{Map, Value, json};
use virpack_model::guarded;

use super::part_report::PartReport;
use super::part_state::{Look, PartProblem};
use super::planned::{is_own, number_of, part_name};
use super::{Plan, PlanProblem, join};
use crate::Error;
use crate::files::{FileProblem, PendingFile};
use crate::options::setters;
use crate::output::{OutputDtype, OutputFormat, OutputSummary, about};

/// Most parts that are hashed at once.
const AT_ONCE: usize = 8;

/// Which plan to commit, and to what.
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
}

impl CommitOptions {
    /// The plan in a directory, to a manifest beside its parts.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let (output, format, dtype_out) = (None, None, None);
        CommitOptions { directory: directory.into(), output, format, dtype_out, force: false }
    }

    setters! {
        /// Sets the file that the parts are joined to as well; None: they stay as they are.
        output: impl Into<Option<PathBuf>>,
        /// Sets its format; None: what the name's ending says.
        format: impl Into<Option<OutputFormat>>,
        /// Sets the type of its values; None: the parts'.
        dtype_out: impl Into<Option<OutputDtype>>,
        /// Replaces a file that exists.
        force: bool,
    }
}

/// What was committed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommitSummary {
    /// Parts.
    pub parts: u64,
    /// Records of all inputs.
    pub records: u64,
    /// Records with an embedding.
    pub rows: u64,
    /// Records with a reason instead.
    pub skipped: u64,
    /// The manifest.
    pub manifest: PathBuf,
    /// Whether the manifest was there already.
    pub was_there: bool,
    /// Temporary files of stopped runs that were removed.
    pub removed: u64,
    /// The kinds of devices that the parts come from, where these are several: values may differ in their
    /// last digits.
    pub kinds: u64,
    /// What was written where the parts were joined.
    pub joined: Option<OutputSummary>,
}

/// Checks that every part of a plan is there with all its bytes, removes what stopped runs have left beside
/// them, and writes the manifest. Where the options name a file, joins the parts to it: the file that
/// [`embed`](crate::embed) would have written.
///
/// # Errors
///
/// [`PlanError`](super::PlanError) that names the parts that are missing, torn or of another plan, or another
/// manifest that is there; and what keeps a file from being written.
pub fn commit(options: &CommitOptions) -> Result<CommitSummary, Error> {
    let plan = Plan::open(&options.directory)?;
    let output = join::check(&plan, options)?;
    let reports = check_parts(&plan)?;
    let removed = remove_leftovers(&plan)?;
    let was_there = write_manifest(&plan, &reports)?;
    let joined = output.map(|output| join::join(&plan, &reports, output)).transpose()?;
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
    })
}

/// What all parts are, once each is there, and no other.
fn check_parts(plan: &Plan) -> Result<Vec<PartReport>, PlanProblem> {
    let (next, states) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(part) = plan.parts().get(next.fetch_add(1, Relaxed)) {
            let state = plan.state(part, Look::Bytes);
            states.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((part.number, state));
        }
    };
    let threads = available_parallelism().map_or(1, usize::from).min(AT_ONCE).min(plan.parts().len());
    std::thread::scope(|scope| {
        // Where the system starts no more threads, this one does their work.
        for _ in 1..threads {
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut states = states.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    states.sort_by_key(|(number, _)| *number);
    let (mut reports, mut problems) = (Vec::<PartReport>::new(), Vec::new());
    for (number, state) in states {
        match (state, reports.first()) {
            (Ok(report), Some(first)) if report.dtype != first.dtype => {
                let what =
                    format!("computed in {}, and part {} in {}", report.dtype, first.number, first.dtype);
                problems.push((number, PartProblem::Foreign(what)));
            }
            (Ok(report), _) => reports.push(report),
            (Err(problem), _) => problems.push((number, problem)),
        }
    }
    if !problems.is_empty() {
        let parts = plan.parts().len() as u64;
        return Err(PlanProblem::Parts { directory: plan.directory.clone(), problems, parts });
    }
    for entry in entries(&plan.directory)? {
        let name = entry.file_name();
        let number = name.to_str().and_then(number_of);
        if number.is_some_and(|number| plan.part(number).is_err()) {
            return Err(PlanProblem::ForeignFile { path: entry.path() });
        }
    }
    Ok(reports)
}

/// Removes the temporary files of a plan's files; their number.
fn remove_leftovers(plan: &Plan) -> Result<u64, Error> {
    let mut removed = 0;
    for directory in [plan.directory.clone(), plan.reports()] {
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

/// What the bits of parts depend on, each once.
fn kinds(reports: &[PartReport]) -> Vec<&Vec<String>> {
    let mut kinds: Vec<_> = reports.iter().flat_map(|report| &report.computed_by).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Writes the manifest, if it is not there; whether it was.
fn write_manifest(plan: &Plan, reports: &[PartReport]) -> Result<bool, Error> {
    let path = plan.manifest_path();
    let text = about::text(&manifest(plan, reports));
    let written = PendingFile::whole(&path, text.as_bytes())?;
    if written.publish_new().map_err(FileProblem::write(&path))? {
        return Ok(false);
    }
    let there = guarded::read(&path, text.len() as u64 + 1);
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
        "model": plan.facts.model.to_json(),
        "options": plan.facts.options.to_json(),
        "dtype": reports.first().map(|report| &report.dtype),
        "computed_by": kinds(reports),
        "records": sum(|report| report.records),
        "rows": sum(|report| report.rows),
        "skipped": sum(|report| report.skipped.len() as u64),
        "tokens": sum(|report| report.tokens),
        "parts": reports.iter().map(part).collect::<Value>(),
    });
    let Value::Object(manifest) = manifest else { unreachable!("it was written as an object") };
    manifest
}
