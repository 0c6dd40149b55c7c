//! Plans of parts: makes and opens plans, makes their parts with a loaded model, and commits them.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;

use virpack_core::device::available_memory;
use virpack_core::model::hub::HubOptions;
use virpack_core::plan::{self, CommitOptions, CommitSummary, PartSummary, PlanOptions};
use virpack_core::seq::ReadLimits;
use virpack_core::{DeviceOptions, EmbedderOptions};

use crate::embedding::Engine;
use crate::error::Outcome;
use crate::options::{DeviceArguments, dtype, dtype_out, format, lengths, non_zero, pool, token_budget};
use crate::run::{Keeps, Reporter, Run};

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Plan>()?;
    module.add_function(wrap_pyfunction!(plan_files, module)?)?;
    module.add_function(wrap_pyfunction!(commit, module)?)
}

// Paths go to Python as text: pathlib would make `s3:/` of the beginning of a URL.

/// An existing part: number, file, whether it existed before, records, rows, skipped records, tokens,
/// SHA-256 and seconds.
type Part = (u64, OsString, bool, u64, u64, u64, u64, String, f64);

/// A part of a plan: number, number of its input, first byte and the byte after the last, first record,
/// records, tokens.
type Range = (u64, u32, u64, u64, u64, u64, u64);

/// The results of a commit: manifest, whether it existed before, parts, records, rows, skipped records,
/// kinds of devices, temporary files removed, files joined.
type Committed = (OsString, bool, u64, u64, u64, u64, u64, u64, Vec<OsString>);

/// An existing plan.
#[pyclass(frozen)]
struct Plan {
    plan: Arc<plan::Plan>,
}

/// The options of a plan.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PlanArguments {
    directory: PathBuf,
    model: String,
    part_tokens: u64,
    pool: Option<String>,
    layer: Option<i64>,
    dtype: Option<String>,
    dtype_out: String,
    max_length: Option<usize>,
    min_length: usize,
    long_records: String,
    window_overlap: Option<usize>,
}

/// The options of the model that makes parts.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct EngineArguments {
    runs_on: DeviceArguments,
    token_budget: Option<usize>,
    buffer_size: Option<usize>,
    packing: bool,
}

/// The options of a commit.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct CommitArguments {
    directory: PathBuf,
    output: Option<PathBuf>,
    format: Option<String>,
    dtype_out: Option<String>,
    force: bool,
}

#[pymethods]
impl Plan {
    /// Opens the plan in a directory.
    #[new]
    fn new(py: Python<'_>, directory: PathBuf) -> Outcome<Self> {
        Ok(Plan { plan: Arc::new(py.detach(|| plan::Plan::open(directory))?) })
    }

    #[getter]
    fn name(&self) -> &str {
        self.plan.name()
    }

    #[getter]
    fn model(&self) -> &str {
        self.plan.model()
    }

    #[getter]
    fn records(&self) -> u64 {
        self.plan.records()
    }

    #[getter]
    fn tokens(&self) -> u64 {
        self.plan.tokens()
    }

    /// Returns the absolute path or the URL of each input.
    #[getter]
    fn inputs(&self) -> Vec<&OsStr> {
        self.plan.input_paths().map(std::path::Path::as_os_str).collect()
    }

    #[getter]
    fn remarks(&self) -> &[String] {
        self.plan.remarks()
    }

    /// Returns whether the plan already existed when it was to be made.
    #[getter]
    fn was_there(&self) -> bool {
        self.plan.was_there()
    }

    /// Returns all parts, in the order of their records.
    fn parts(&self) -> Vec<Range> {
        let range = |part: &plan::PlannedPart| {
            let range = &part.range;
            let bytes = &range.bytes;
            (part.number, range.source, bytes.start, bytes.end, range.record, range.records, range.weight)
        };
        self.plan.parts().iter().map(range).collect()
    }

    /// Returns the numbers of the missing parts, by the sizes of files.
    fn missing(&self, py: Python<'_>) -> Outcome<Vec<u64>> {
        Ok(py.detach(|| self.plan.missing())?)
    }

    /// Loads the plan's model with the options that its parts require.
    fn engine(&self, py: Python<'_>, given: EngineArguments, hook: Option<Py<PyAny>>) -> Outcome<Engine> {
        let buffer_size = given.buffer_size.map(|records| non_zero("buffer_size", records)).transpose()?;
        let options = self
            .plan
            .embedder_options()?
            .downloads(HubOptions::from_env(), Arc::new(()))
            .device(given.runs_on.options()?.dtype(self.plan.dtype()))
            .device_timeout(given.runs_on.timeout())
            .token_budget(token_budget(given.token_budget))
            .buffer_size(buffer_size.map(NonZeroUsize::get))
            .packing(given.packing);
        Engine::load(py, options, hook)
    }

    /// Makes a part, unless it exists with all its bytes.
    fn embed(
        &self,
        py: Python<'_>,
        engine: PyRef<'_, Engine>,
        number: u64,
        hook: Option<Py<PyAny>>,
    ) -> Outcome<Part> {
        let (plan, embedder) = (self.plan.clone(), engine.embedder(py)?);
        let work = move |reporter: &mut Reporter<PartSummary>, cancel: &_| {
            let part = match plan.part_that_is_there(number)? {
                Some(part) => part,
                None => {
                    let limits = ReadLimits::fitting(available_memory());
                    plan.embed_part(&embedder, number, limits, cancel, |event| reporter.event(event))?
                }
            };
            reporter.item(part);
            Ok(())
        };
        let part = Run::start(None, hook, Keeps::Output, work)?.only(py)?;
        let PartSummary { number, path, was_there, records, rows, skipped, tokens, sha256, .. } = part;
        Ok((
            number,
            path.into(),
            was_there,
            records,
            rows,
            skipped,
            tokens,
            sha256,
            part.elapsed.as_secs_f64(),
        ))
    }
}

/// Reads files once, and writes the plan of their parts. If the call is interrupted, the plan may still be
/// written.
#[pyfunction]
fn plan_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    given: PlanArguments,
    hook: Option<Py<PyAny>>,
) -> Outcome<Plan> {
    let inputs = paths.into_iter().map(Into::into).collect();
    let lengths = lengths(given.max_length, given.min_length, &given.long_records, given.window_overlap);
    let embedder = EmbedderOptions::new(&*given.model)
        .pool(given.pool.as_deref().map(pool))
        .layer(given.layer)
        .lengths(lengths)
        .device(DeviceOptions::default().dtype(given.dtype.as_deref().map(dtype)))
        .downloads(HubOptions::from_env(), Arc::new(()));
    let options = PlanOptions::new(inputs, embedder, given.directory)
        .part_tokens(given.part_tokens)
        .dtype_out(dtype_out(&given.dtype_out));
    let work = move |reporter: &mut Reporter<plan::Plan>, _: &_| {
        let plan = plan::plan(&options, |event| reporter.event(event))?;
        reporter.item(plan);
        Ok(())
    };
    let plan = Run::start(None, hook, Keeps::Nothing, work)?.only(py)?;
    Ok(Plan { plan: Arc::new(plan) })
}

/// Checks that every part of a plan exists and is complete, writes the manifest, and joins the parts if a
/// file is named.
#[pyfunction]
fn commit(py: Python<'_>, given: CommitArguments, hook: Option<Py<PyAny>>) -> Outcome<Committed> {
    let options = CommitOptions::new(given.directory)
        .output(given.output)
        .format(given.format.as_deref().map(format))
        .dtype_out(given.dtype_out.as_deref().map(dtype_out))
        .force(given.force);
    let work = move |reporter: &mut Reporter<CommitSummary>, _: &_| {
        reporter.item(plan::commit(&options)?);
        Ok(())
    };
    let committed = Run::start(None, hook, Keeps::Nothing, work)?.only(py)?;
    let CommitSummary { manifest, was_there, parts, records, rows, skipped, kinds, removed, .. } = committed;
    let tables = committed.predicted.map(|predicted| predicted.files);
    let joined = committed.joined.map(|joined| joined.files).or(tables).unwrap_or_default();
    let joined = joined.into_iter().map(PathBuf::into_os_string).collect();
    Ok((manifest.into(), was_there, parts, records, rows, skipped, kinds, removed, joined))
}
