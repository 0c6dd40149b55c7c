//! Loaded models, and embeddings as arrays.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;
use pyo3::types::PyList;

use virpack_core::output::Row;
use virpack_core::seq::{Alphabet, InputRemark};
use virpack_core::{EmbedSummary, Embedder, EmbedderOptions, Embeddings, embed};

use crate::error::Outcome;
use crate::handle::Handle;
use crate::noted;
use crate::options::{EmbedderArguments, OutputArguments};
use crate::run::{Keeps, Reporter, Run};
use crate::source::{Opening, Source};

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    module.add_class::<Pieces>()?;
    module.add_class::<Rows>()?;
    module.add_function(wrap_pyfunction!(embed_files, module)?)
}

/// A record without an embedding: its place, its line or number, its id, its length, and the reason.
type WithoutEmbedding = (u64, u64, String, u64, &'static str);

/// A run that wrote a file: `run.json` as text, the files, rows, skipped records, and lines that a user
/// should see.
type Written = (String, Vec<OsString>, u64, u64, Vec<String>);

/// A model that is loaded once and embeds many times.
#[pyclass(frozen)]
pub(crate) struct Engine {
    embedder: Handle<Embedder>,
}

/// A stream of embeddings, one piece at a time.
#[pyclass(frozen)]
struct Pieces {
    run: Handle<Run<Piece>>,
    /// The names of the files, if there are several.
    sources: Vec<String>,
    max_length: usize,
    /// Whether all embeddings are one piece.
    is_whole: bool,
}

/// An item of a stream.
enum Piece {
    Embeddings(Embeddings),
    /// What the reader passed over in the inputs; the last item.
    Remarks(Vec<InputRemark>),
}

/// Embeddings in the form that Python receives.
#[pyclass(frozen, get_all)]
struct Rows {
    /// The ids of the records, `[records]`.
    ids: Py<PyList>,
    /// `[records, hidden]`, or `[residues.sum(), hidden]`.
    values: Py<PyArray2<f32>>,
    /// The rows of each record if every residue keeps its row, `[records]`.
    residues: Option<Py<PyArray1<i64>>>,
    /// The record's place in the source, `[records]`.
    records: Py<PyArray1<i64>>,
    lengths: Py<PyArray1<i64>>,
    truncated: Py<PyArray1<bool>>,
    unknown: Py<PyArray1<i64>>,
    gaps: Py<PyArray1<i64>>,
    /// The file of each record if there are several files, `[records]`.
    sources: Option<Py<PyList>>,
    skipped: Vec<WithoutEmbedding>,
    /// Lines that a user should see.
    noted: Vec<String>,
}

#[pymethods]
impl Engine {
    /// Loads a model.
    #[new]
    fn new(py: Python<'_>, options: EmbedderArguments, hook: Option<Py<PyAny>>) -> Outcome<Self> {
        Engine::load(py, options.options()?, hook)
    }

    #[getter]
    fn hidden_size(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.embedder.get(py)?.hidden_size())
    }

    #[getter]
    fn max_length(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.embedder.get(py)?.max_length())
    }

    #[getter]
    fn token_budget(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.embedder.get(py)?.token_budget())
    }

    /// Returns `protein`, `nucleotide`, or None if the model takes any letters.
    #[getter]
    fn alphabet(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        Ok(self.embedder.get(py)?.alphabet().map(|alphabet| match alphabet {
            Alphabet::Proteins => "protein",
            Alphabet::Nucleotides => "nucleotide",
        }))
    }

    #[getter]
    fn devices(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.embedder.get(py)?.devices())
    }

    #[getter]
    fn sha256(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.embedder.get(py)?.sha256())
    }

    /// Embeds the records of a source: all in one piece, or `rows` rows of values at a time.
    fn stream(
        &self,
        py: Python<'_>,
        source: Source<'_>,
        rows: Option<NonZeroUsize>,
        hook: Option<Py<PyAny>>,
    ) -> Outcome<Pieces> {
        let embedder = self.embedder(py)?;
        let (opening, feed) = source.split();
        let (sources, max_length, is_whole) = (opening.names(), embedder.max_length(), rows.is_none());
        let work = move |reporter: &mut Reporter<Piece>, cancel: &_| {
            let mut events = reporter.clone();
            let stream = embedder.stream(opening.open()?, rows.unwrap_or(NonZeroUsize::MAX), cancel)?;
            let mut stream = stream.on_event(move |event| events.event(event));
            if rows.is_none() {
                reporter.item(Piece::Embeddings(stream.all()?));
            }
            for piece in stream.by_ref() {
                if !reporter.item(Piece::Embeddings(piece?)) {
                    return Ok(());
                }
            }
            reporter.item(Piece::Remarks(stream.remarks()));
            Ok(())
        };
        let run = Handle::new(Run::start(feed, hook, Keeps::Nothing, work)?);
        Ok(Pieces { run, sources, max_length, is_whole })
    }

    /// Writes the embeddings of a source to a file.
    fn write(
        &self,
        py: Python<'_>,
        source: Source<'_>,
        output: OutputArguments,
        hook: Option<Py<PyAny>>,
    ) -> Outcome<Written> {
        let embedder = self.embedder(py)?;
        let (opening, feed) = source.split();
        let options = output.options(embedder.options().clone(), Vec::new())?;
        let work = move |reporter: &mut Reporter<EmbedSummary>, cancel: &_| {
            let summary = match opening {
                Opening::Files(inputs) => {
                    embedder.write(&options.inputs(inputs), cancel, |event| reporter.event(event))
                }
                given => {
                    embedder.write_records(given.open()?, &options, cancel, |event| reporter.event(event))
                }
            };
            reporter.item(summary?);
            Ok(())
        };
        written(py, &mut Run::start(feed, hook, Keeps::Output, work)?)
    }
}

impl Engine {
    /// Loads the model of these options.
    pub(crate) fn load(py: Python<'_>, options: EmbedderOptions, hook: Option<Py<PyAny>>) -> Outcome<Self> {
        let load =
            move |reporter: &mut Reporter<Embedder>| Embedder::new(options, |event| reporter.event(event));
        let embedder = Run::once(py, hook, load)?;
        Ok(Engine { embedder: Handle::new(embedder) })
    }

    /// Returns the model, for work on another thread.
    pub(crate) fn embedder(&self, py: Python<'_>) -> PyResult<Embedder> {
        Ok(self.embedder.get(py)?.clone())
    }
}

/// Writes the embeddings of files to a file, as the command does. Everything that can be refused is refused
/// before a model is loaded.
#[pyfunction]
fn embed_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    embedder: EmbedderArguments,
    output: OutputArguments,
    hook: Option<Py<PyAny>>,
) -> Outcome<Written> {
    let inputs = paths.into_iter().map(Into::into).collect();
    let options = output.options(embedder.options()?, inputs)?;
    let work = move |reporter: &mut Reporter<EmbedSummary>, cancel: &_| {
        let summary = embed(&options, cancel, |event| reporter.event(event))?;
        reporter.item(summary);
        Ok(())
    };
    written(py, &mut Run::start(None, hook, Keeps::Output, work)?)
}

/// Returns the results of a run that writes a file.
fn written(py: Python<'_>, run: &mut Run<EmbedSummary>) -> Outcome<Written> {
    let summary = run.only(py)?;
    let remarks = noted::embedded(&summary);
    let report = serde_json::Value::Object(summary.report).to_string();
    let counts = summary.written;
    let files = counts.files.into_iter().map(PathBuf::into_os_string).collect();
    Ok((report, files, counts.rows, counts.skipped, remarks))
}

#[pymethods]
impl Pieces {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    /// Returns the next piece, or finally lines about what the reader passed over in the inputs.
    fn __next__(&self, py: Python<'_>) -> Outcome<Option<Py<PyAny>>> {
        let piece = self.run.get(py)?.next(py)?;
        let Some(piece) = piece else { return Ok(None) };
        Ok(Some(match piece {
            Piece::Embeddings(embeddings) => self.rows(py, embeddings)?.into_any(),
            Piece::Remarks(remarks) => {
                let lines = remarks.iter().map(ToString::to_string);
                PyList::new(py, lines.collect::<Vec<_>>())?.into_any().unbind()
            }
        }))
    }
}

impl Pieces {
    /// Passes embeddings to Python without copying the values.
    fn rows(&self, py: Python<'_>, embeddings: Embeddings) -> Outcome<Py<Rows>> {
        let noted = noted::in_memory(&embeddings, self.max_length, self.is_whole);
        let Embeddings { hidden, rows, values, residues, skipped, .. } = embeddings;
        let values = Array2::from_shape_vec((values.len() / hidden.max(1), hidden), values);
        let values = values.expect("values are whole rows").into_pyarray(py).unbind();
        let array = |numbers: Vec<i64>| numbers.into_pyarray(py).unbind();
        let truncated: Vec<bool> = rows.iter().map(|row| row.truncated).collect();
        let source = |row: &Row| &*self.sources[row.source as usize];
        let sources = (!self.sources.is_empty()).then(|| PyList::new(py, rows.iter().map(source)));
        let skipped = skipped.into_iter();
        let rows = Rows {
            ids: PyList::new(py, rows.iter().map(|row| &*row.id))?.unbind(),
            values,
            residues: residues.map(|counts| array(counts.into_iter().map(|count| count as i64).collect())),
            records: array(rows.iter().map(|row| row.record as i64).collect()),
            lengths: array(rows.iter().map(|row| row.length as i64).collect()),
            truncated: truncated.into_pyarray(py).unbind(),
            unknown: array(rows.iter().map(|row| row.unknown.into()).collect()),
            gaps: array(rows.iter().map(|row| row.gaps.into()).collect()),
            sources: sources.transpose()?.map(Bound::unbind),
            skipped: skipped
                .map(|s| (s.record, s.line, s.id.to_string(), s.length, s.reason.as_str()))
                .collect(),
            noted,
        };
        Ok(Py::new(py, rows)?)
    }
}
