//! Verdicts on records: viral or not.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::prelude::*;

use virpack_core::CheckpointOptions;
use virpack_core::calls::{CallOptions, Compat};
use virpack_core::model::hub::HubOptions;
use virpack_core::model::{Location, mini};
use virpack_core::predict::{Bundle, PredictOptions, PredictSummary, predict, predict_records};
use virpack_core::seq::{GeneticCode, Input};
use virpack_core::verdict::{CallThresholds, Prevalence};

use crate::error::{Outcome, input_error};
use crate::noted;
use crate::options::{DeviceArguments, non_zero, token_budget};
use crate::run::{Keeps, Reporter, Run};
use crate::source::{Opening, Source};

/// The models of VirNucPro: the nucleotide model and the protein model.
const VIRNUCPRO: [&str; 2] = ["zhihan1996/DNABERT-S", "esm2_t36_3B_UR50D"];

/// Adds this file's names to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(predict_source, module)?)
}

/// The models, classifiers and options of a prediction.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PredictArguments {
    output: PathBuf,
    /// A directory of two models with their classifiers; None: virpack-mini.
    model: Option<PathBuf>,
    /// The name of the pipeline.
    name: Option<String>,
    classifier: Option<PathBuf>,
    nucleotide_classifier: Option<PathBuf>,
    protein_model: Option<String>,
    nucleotide_model: Option<String>,
    runs_on: DeviceArguments,
    length: Option<usize>,
    min_length: usize,
    genetic_code: u8,
    min_score: Option<f64>,
    prevalence: f64,
    min_chunk_score: Option<f32>,
    compat: Option<String>,
    token_budget: Option<usize>,
    buffer_size: Option<usize>,
    resume: bool,
    checkpoint: bool,
    force: bool,
}

impl PredictArguments {
    fn options(&self, inputs: Vec<Input>) -> Outcome<PredictOptions> {
        let length = self.length.map(|length| non_zero("length", length)).transpose()?;
        let buffer_size = self.buffer_size.map(|size| non_zero("buffer_size", size)).transpose()?;
        let code = GeneticCode::ncbi(self.genetic_code)?;
        let thresholds = match self.min_score {
            Some(given) => CallThresholds::at(given)?,
            None => CallThresholds::DEFAULT,
        };
        let prevalence = Prevalence::new(self.prevalence).ok_or_else(|| {
            input_error(
                &format!("prevalence is {}", self.prevalence),
                Some("it must be more than 0 and less than 1"),
            )
        })?;
        let calls = CallOptions::default().thresholds(thresholds).prevalence(prevalence);
        let compat = self.compat.as_deref().map(|columns| match columns {
            "broad" => Compat::Broad,
            _ => Compat::VirNucPro,
        });
        let checkpoint = self.checkpoint.then(|| CheckpointOptions::default().resume(self.resume));
        Ok(self
            .models(inputs, length)?
            .downloads(HubOptions::from_env(), Arc::new(()))
            .device(self.runs_on.options()?)
            .device_timeout(self.runs_on.timeout())
            .min_length(self.min_length)
            .genetic_code(code)
            .calls(calls.min_chunk_score(self.min_chunk_score).compat(compat))
            .token_budget(token_budget(self.token_budget))
            .buffer_size(buffer_size.map(NonZeroUsize::get))
            .checkpoint(checkpoint)
            .force(self.force))
    }

    /// Returns the models and classifiers: those of a directory, or each by its name.
    fn models(&self, inputs: Vec<Input>, length: Option<NonZeroUsize>) -> Outcome<PredictOptions> {
        let Some(classifier) = &self.classifier else {
            let bundle = match &self.model {
                Some(path) => Bundle::open(&Location::from(Path::new(path)))?,
                None => Bundle::open(&mini::location())?,
            };
            return Ok(PredictOptions::with_bundle(inputs, &bundle, length, &self.output));
        };
        let [nucleotide, protein] = VIRNUCPRO;
        let models = [
            self.nucleotide_model.as_deref().unwrap_or(nucleotide),
            self.protein_model.as_deref().unwrap_or(protein),
        ];
        let classifier = Location::Disk(classifier.clone());
        Ok(PredictOptions::new(inputs, models, classifier, &self.output)
            .name(self.name.clone())
            .length(length)
            .nucleotide_classifier(self.nucleotide_classifier.clone().map(Location::Disk)))
    }
}

/// Judges every record of a source, and writes the tables. An interrupted run that `keeps` finished work is
/// awaited. Returns `run.json` as text, the files, the number of records, and lines that a user should see.
#[pyfunction]
fn predict_source(
    py: Python<'_>,
    source: Source<'_>,
    options: PredictArguments,
    keeps: bool,
    hook: Option<Py<PyAny>>,
) -> Outcome<(String, Vec<PathBuf>, u64, Vec<String>)> {
    let (opening, feed) = source.split();
    let inputs = if let Opening::Files(inputs) = &opening { inputs.clone() } else { Vec::new() };
    let options = options.options(inputs)?;
    let work = move |reporter: &mut Reporter<PredictSummary>, cancel: &_| {
        let summary = match opening {
            Opening::Files(_) => predict(&options, cancel, |event| reporter.event(event)),
            given => predict_records(given.open()?, &options, cancel, |event| reporter.event(event)),
        };
        reporter.item(summary?);
        Ok(())
    };
    let keeps = if keeps { Keeps::Output } else { Keeps::Nothing };
    let summary = Run::start(feed, hook, keeps, work)?.only(py)?;
    let remarks = noted::predicted(&summary);
    let report = serde_json::Value::Object(summary.report).to_string();
    Ok((report, summary.files, summary.calls.counts.records, remarks))
}
