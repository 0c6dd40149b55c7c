//! A finished run of `predict`, described by its `run.json`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use virpack_seq::{Input, read_small};

use super::ReportProblem;
use crate::Error;
use crate::calls::{CallFiles, CallOptions, Compat, RecordScoring, is_plot};
use crate::files::directory_of;
use crate::identity::Identity;
use crate::output::is_stdout;
use crate::predict::Files;
use crate::resume::recorded_identity;
use crate::verdict::{CallThresholds, ContigRule, Prevalence, RecordCalibration};

/// The most bytes of `run.json`, and of a calibration.
const LARGEST: u64 = 64_000_000;

/// A finished run of `predict`, described by its `run.json`.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    pub(super) directory: PathBuf,
    pub(super) facts: Map<String, Value>,
    pub(super) inputs: Vec<Input>,
    pub(super) scoring: RecordScoring,
    calls: CallOptions,
    has_plots: bool,
    unique_ids: bool,
}

impl FinishedRun {
    /// Opens the run in a directory.
    ///
    /// ```
    /// use virpack_core::report::FinishedRun;
    ///
    /// # use virpack_core::CancelToken;
    /// # use virpack_core::model::mini;
    /// # use virpack_core::predict::{Bundle, PredictOptions, predict};
    /// # let folder = tempfile::tempdir()?;
    /// # let directory = folder.path().join("verdicts");
    /// # let built_in = Bundle::open(&mini::location())?;
    /// # let inputs = vec!["../../examples/contigs.fasta".into()];
    /// # let options = PredictOptions::with_bundle(inputs, &built_in, None, &directory);
    /// # predict(&options, &CancelToken::new(), |_event| ())?;
    /// let run = FinishedRun::open(&directory)?;
    /// assert_eq!((&*run.model(), run.directory()), ("virpack-mini", &*directory));
    /// assert!(!run.has_plots());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Report`] for a directory without a complete run.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        if is_stdout(&directory) {
            return Err(of_standard_output());
        }
        let path = Files::in_directory(&directory).run_json;
        let wrong = |problem: String| ReportProblem::NoRun {
            directory: directory.clone(),
            file: path.clone(),
            problem,
        };
        let text = read_small(&path, LARGEST).map_err(|error| wrong(cannot_be_read(&error)))?;
        let Ok(Value::Object(facts)) = serde_json::from_slice(&text) else {
            return Err(wrong("holds no JSON object".to_owned()).into());
        };
        let calibration = calibration(&directory, &facts)?;
        let run = FinishedRun::of(directory.clone(), facts, calibration.as_ref());
        Ok(run.ok_or_else(|| wrong("lacks what `predict` writes".to_owned()))?)
    }

    /// Returns the run that `run.json` describes; None if a value is missing.
    fn of(
        directory: PathBuf,
        facts: Map<String, Value>,
        calibration: Option<&RecordCalibration>,
    ) -> Option<Self> {
        let inputs = facts.get("inputs")?.as_array()?;
        let inputs = inputs.iter().map(|input| Some(Input::from(input.get("path")?.as_str()?)));
        facts.get("models").filter(|models| models.is_object())?;
        let options = facts.get("options")?;
        let number = |name: &str| options.get(name)?.as_f64();
        let length = usize::try_from(options.get("length")?.as_u64()?).ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "it was written from a float32")]
        let min_chunk_score = number("min_chunk_score").map(|score| score as f32);
        let calls = CallOptions::default()
            .thresholds(CallThresholds::at(number("min_score")?).ok()?)
            .prevalence(Prevalence::new(number("prevalence")?)?)
            .min_chunk_score(min_chunk_score)
            .compat(options.get("compat")?.as_str().and_then(Compat::named))
            .contigs(options.get("contigs").and_then(contig_rule));
        let max_plots = options.get("max_plots")?.as_u64().and_then(|most| usize::try_from(most).ok());
        Some(FinishedRun {
            inputs: inputs.collect::<Option<_>>()?,
            scoring: RecordScoring::new(calibration, length),
            calls: max_plots.map_or(calls, |most| calls.max_plots(most)),
            has_plots: max_plots.is_some(),
            unique_ids: options.get("unique_ids").and_then(Value::as_bool).unwrap_or(false),
            directory,
            facts,
        })
    }

    /// Returns its directory, as the user named it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the common name of its models, or that of its classifier.
    #[must_use]
    pub fn model(&self) -> String {
        let text = |name: &str| self.facts.get("models")?.get(name)?.as_str();
        text("name").or_else(|| text("classifier")).unwrap_or_default().to_owned()
    }

    /// Returns what it calls viral, and which files list it; the function that made its plots is unknown.
    #[must_use]
    pub fn calls(&self) -> CallOptions {
        self.calls
    }

    /// Returns whether the run has plots.
    #[must_use]
    pub fn has_plots(&self) -> bool {
        self.has_plots
    }

    /// Returns whether a path is that of a file that a run writes into this directory.
    pub(super) fn has_file(&self, path: &Path) -> bool {
        let files = Files::in_directory(&self.directory);
        let is_here = || Some(directory_of(path).canonicalize().ok()? == self.directory.canonicalize().ok()?);
        let is_named = |file: &Path| file.file_name() == path.file_name();
        let plots = directory_of(path).canonicalize().ok();
        let is_in_plots = plots.is_some_and(|plots| files.calls.plots.canonicalize().ok() == Some(plots));
        let is_plot = path.file_name().is_some_and(|name| is_plot(&name.to_string_lossy()));
        (files.all().any(is_named) || is_named(&files.calls.plots)) && is_here().unwrap_or(false)
            || is_plot && is_in_plots
    }

    /// Returns whether it numbered duplicate ids.
    pub(super) fn unique_ids(&self) -> bool {
        self.unique_ids
    }

    /// Returns everything that affects its files, if that was kept.
    pub(super) fn identity(&self) -> Option<Identity> {
        recorded_identity(&self.facts)
    }

    /// Iterates over the sizes and hashes of its inputs, if they are known.
    pub(super) fn checksums(&self) -> impl Iterator<Item = Option<(u64, &str)>> {
        let inputs = self.facts.get("inputs").and_then(Value::as_array).into_iter().flatten();
        inputs.map(|input| Some((input["bytes"].as_u64()?, input["sha256"].as_str()?)))
    }
}

/// Returns the rule for contigs in `run.json`.
fn contig_rule(named: &Value) -> Option<ContigRule> {
    let share = |name: &str| named.get(name)?.as_f64();
    let rule = ContigRule::default().min_chunks(named.get("min_chunks")?.as_u64()?);
    Some(rule.min_viral(share("min_viral")?).min_nonviral(share("min_nonviral")?))
}

/// Returns the error for standard output, which cannot be read again.
pub(super) fn of_standard_output() -> Error {
    let problem = "is standard output, which cannot be read again".to_owned();
    ReportProblem::NoRun { directory: "-".into(), file: "-".into(), problem }.into()
}

/// Returns the calibration of a run, if it has one.
fn calibration(directory: &Path, facts: &Map<String, Value>) -> Result<Option<RecordCalibration>, Error> {
    let expected = facts.get("models").and_then(|models| models.get("calibration"));
    let Some(expected) = expected.filter(|expected| !expected.is_null()) else { return Ok(None) };
    let file = CallFiles::in_directory(directory).calibration;
    let wrong =
        |problem| ReportProblem::NoRun { directory: directory.to_path_buf(), file: file.clone(), problem };
    let text = read_small(&file, LARGEST).map_err(|error| wrong(cannot_be_read(&error)))?;
    let calibration = RecordCalibration::parse(&String::from_utf8_lossy(&text));
    let calibration = calibration.map_err(|error| wrong(format!("is damaged: {error}")))?;
    match expected["sha256"].as_str() {
        Some(sum) if sum == calibration.sha256() => Ok(Some(calibration)),
        _ => Err(wrong("is not the one that the run has used".to_owned()).into()),
    }
}

fn cannot_be_read(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
