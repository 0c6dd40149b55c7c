//! An existing plan: its files, its parts, and who may make them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use virpack_device::{Device, Dtype};
use virpack_seq::Input;
use virpack_seq::reader::{RecordRange, TextRange, hex};
use virpack_store::StoreError;

use super::facts::{PlanFacts, PlannedModel, PlannedWork, RowOptions, text};
use super::judges::{Names, PlannedJudges};
use super::{PlanProblem, beside};
use crate::Error;
use crate::embedder::{Embedder, EmbedderOptions, for_model};
use crate::files::{FileProblem, NewDirectory, PendingFile, directory_of, place};
use crate::options::ModelSource;
use crate::output::about;
use crate::predict::{PredictOptions, Predictor};

/// The names of a plan's files.
const FACTS: &str = "plan.json";
const PARTS: &str = "plan.jsonl";
const MANIFEST: &str = "manifest.json";
/// The directory of the parts' reports.
const REPORTS: &str = "_parts";

/// The most bytes of a file of a plan: millions of parts fit.
const LARGEST: u64 = 2_000_000_000;

/// A plan: the work on the records of its inputs, and the parts into which they are divided.
/// [`plan`](super::plan) and [`plan_predict`](super::plan_predict) make it, and every machine that makes
/// parts opens it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) directory: PathBuf,
    pub(super) facts: PlanFacts,
    pub(super) parts: Vec<PlannedPart>,
    /// SHA-256 of `plan.json`.
    pub(super) name: String,
    was_there: bool,
}

/// A part of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPart {
    /// Its number, from 1.
    pub number: u64,
    /// Its records, as a range of bytes of an input; the weight is in tokens.
    pub range: RecordRange,
}

impl Plan {
    /// Opens the plan in a directory.
    ///
    /// ```
    /// use virpack_core::plan::{Plan, PlanOptions, plan};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let directory = folder.path().join("plan");
    /// # let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let made = plan(&PlanOptions::new(inputs, "virpack-mini", &directory), |_event| ())?;
    /// let found = Plan::open(&directory)?;
    /// assert_eq!((found.name(), found.command(), found.records()), (made.name(), "embed", 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PlanError`](super::PlanError) if there is no plan, it was changed, or another version of virpack
    /// made it.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Plan, Error> {
        let directory = directory.into();
        place::store_of(&directory)?;
        Ok(Plan::read(&directory)?)
    }

    fn read(directory: &Path) -> Result<Plan, PlanProblem> {
        let facts_path = place::join(directory, FACTS);
        let written = read_file(&facts_path, directory)?;
        let path = facts_path.clone();
        let damaged = |what| PlanProblem::Damaged { path: path.clone(), what };
        let value: Value = serde_json::from_slice(&written).map_err(|_| damaged("it is not JSON"))?;
        match value.get("virpack").and_then(Value::as_str) {
            Some(env!("CARGO_PKG_VERSION")) => {}
            Some(found) => return Err(PlanProblem::Version { path: facts_path, found: found.to_owned() }),
            None => return Err(damaged("it is not a plan")),
        }
        let read = PlanFacts::of_json(&value);
        let (facts, parts, sha256) = read.ok_or_else(|| damaged("it lacks what a plan has"))?;
        let path = place::join(directory, PARTS);
        let lines = read_file(&path, directory)?;
        let damaged = |what| PlanProblem::Damaged { path: path.clone(), what };
        if hex(&Sha256::digest(&lines)) != sha256 {
            return Err(damaged("it is not the list that plan.json was written with"));
        }
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let parsed: Option<Vec<PlannedPart>> = lines.map(PlannedPart::of_line).collect();
        let all = parsed.ok_or_else(|| damaged("it lacks what a list of parts has"))?;
        if all.len() as u64 != parts || !are_contiguous(&all, &facts) {
            return Err(damaged("its parts are not all records, each once and in order"));
        }
        let name = hex(&Sha256::digest(&written));
        Ok(Plan { directory: directory.to_owned(), facts, parts: all, name, was_there: false })
    }

    /// Writes the plan of these parts, or leaves it unchanged if it exists.
    pub(super) fn write(directory: &Path, facts: PlanFacts, parts: Vec<PlannedPart>) -> Result<Plan, Error> {
        let lines: String = parts.iter().map(|part| part.line(&facts) + "\n").collect();
        let sha256 = hex(&Sha256::digest(&lines));
        let facts = facts.to_json(parts.len() as u64, &sha256);
        let path = place::join(directory, FACTS);
        if place::exists(&path).map_err(|source| PlanProblem::Read { path: path.clone(), source })? {
            return Plan::expect(directory, &facts);
        }
        NewDirectory::of_plan(&place::join(directory, REPORTS))?.keep();
        let list = place::join(directory, PARTS);
        let whole = || PendingFile::whole(&list, lines.as_bytes());
        if !whole()?.publish_new().map_err(FileProblem::write(&list))? {
            let read = |source| PlanProblem::Read { path: list.clone(), source };
            if place::read(&list, LARGEST).map_err(read)? != lines.as_bytes() {
                // It is another plan's, or a run left it that ended before it had a plan.
                if place::exists(&path).map_err(|source| PlanProblem::Read { path: path.clone(), source })? {
                    return Plan::expect(directory, &facts);
                }
                whole()?.publish_synced()?;
            }
        }
        // The list is published before the file that makes it a plan. Of two plans that are made at once, one
        // gets the name.
        let written = about::write(&path, &facts)?;
        match written.publish_new().map_err(FileProblem::write(&path))? {
            true => Ok(Plan::read(directory)?),
            false => Plan::expect(directory, &facts),
        }
    }

    /// Opens the existing plan, which must have these facts.
    fn expect(directory: &Path, facts: &Map<String, Value>) -> Result<Plan, Error> {
        let written = read_file(&place::join(directory, FACTS), directory)?;
        let there: Value = serde_json::from_slice(&written).unwrap_or_default();
        let differs = |(name, value): &(&String, &Value)| there.get(name.as_str()) != Some(*value);
        if let Some((name, _)) = facts.iter().find(differs) {
            let what = name.replace('_', " ");
            return Err(PlanProblem::Another { directory: directory.into(), what }.into());
        }
        Ok(Plan { was_there: true, ..Plan::read(directory)? })
    }

    /// Returns whether the plan already existed when it was made.
    ///
    /// ```
    /// use virpack_core::plan::{PlanOptions, plan};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let directory = folder.path().join("plan");
    /// # let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = PlanOptions::new(inputs, "virpack-mini", &directory);
    /// assert!(!plan(&options, |_event| ())?.was_there());
    /// assert!(plan(&options, |_event| ())?.was_there());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn was_there(&self) -> bool {
        self.was_there
    }

    /// Returns the plan's name: the SHA-256 of `plan.json`, in hexadecimal digits. The report of every part
    /// has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the parts, in the order of their records.
    ///
    /// ```
    /// use virpack_core::plan::{PlanOptions, plan};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let directory = folder.path().join("plan");
    /// # let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = PlanOptions::new(inputs, "virpack-mini", &directory).part_tokens(400_u64);
    /// let plan = plan(&options, |_event| ())?;
    /// assert_eq!(plan.parts().iter().map(|part| part.range.records).sum::<u64>(), plan.records());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn parts(&self) -> &[PlannedPart] {
        &self.parts
    }

    /// Returns the records of all inputs.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.facts.records
    }

    /// Returns the tokens of all inputs, as counted from letters.
    ///
    /// ```
    /// use virpack_core::plan::{PlanOptions, plan};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let [input, directory] = ["in.fa", "plan"].map(|name| folder.path().join(name));
    /// std::fs::write(&input, ">a\nMKTLLV\n>b\nMKQ\n")?;
    /// let options = PlanOptions::new(vec![input.into()], "virpack-mini/peptide", &directory);
    /// let plan = plan(&options, |_event| ())?;
    /// // Each record has two special tokens.
    /// assert_eq!(plan.tokens(), 6 + 2 + 3 + 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.facts.tokens
    }

    /// Returns the name of the model, or of the models and classifiers.
    #[must_use]
    pub fn model(&self) -> &str {
        match &self.facts.work {
            PlannedWork::Embed { model, .. } => &model.name,
            PlannedWork::Predict(judges) => judges.shown(),
        }
    }

    /// Returns the command that makes its parts: `embed`, or `predict`.
    #[must_use]
    pub fn command(&self) -> &'static str {
        self.facts.work.command()
    }

    /// Returns the absolute path or the URL of each input.
    ///
    /// ```
    /// use virpack_core::plan::{PlanOptions, plan};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let directory = folder.path().join("plan");
    /// # let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = PlanOptions::new(inputs, "virpack-mini", &directory);
    /// let plan = plan(&options, |_event| ())?;
    /// let input = plan.input_paths().next().unwrap();
    /// assert!(input.is_absolute() && input.ends_with("examples/proteins.fasta"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn input_paths(&self) -> impl Iterator<Item = &Path> {
        self.facts.inputs.iter().map(|input| &*input.path)
    }

    /// Returns what the reader passed over in the inputs, one sentence for each.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.facts.remarks
    }

    /// Returns the precision in which parts must be computed; None if the device decides.
    #[must_use]
    pub fn dtype(&self) -> Option<Dtype> {
        match &self.facts.work {
            PlannedWork::Embed { options, .. } => options.dtype,
            PlannedWork::Predict(judges) => judges.dtype,
        }
    }

    /// Returns the model and the options of a plan of `embed`.
    pub(super) fn rows(&self) -> Result<(&PlannedModel, &RowOptions), PlanProblem> {
        match &self.facts.work {
            PlannedWork::Embed { model, options } => Ok((model, options)),
            PlannedWork::Predict(_) => Err(self.of_another_command("embed")),
        }
    }

    /// Returns the models and classifiers of a plan of `predict`.
    pub(super) fn judges(&self) -> Result<&PlannedJudges, PlanProblem> {
        match &self.facts.work {
            PlannedWork::Predict(judges) => Ok(judges),
            PlannedWork::Embed { .. } => Err(self.of_another_command("predict")),
        }
    }

    fn of_another_command(&self, asked: &'static str) -> PlanProblem {
        PlanProblem::Command { directory: self.directory.clone(), planned: self.command(), asked }
    }

    /// Returns the options that an [`Embedder`] for parts must have. Downloads, devices and the sizes of
    /// batches are free, because rows do not depend on them. The precision is [`Plan::dtype`].
    ///
    /// # Errors
    ///
    /// [`PlanError`](super::PlanError) for a plan of `predict`.
    pub fn embedder_options(&self) -> Result<EmbedderOptions, Error> {
        let (model, options) = self.rows()?;
        let source = match &model.path {
            Some(path) => ModelSource::from(path),
            None => ModelSource::from(&*model.name),
        };
        let source = EmbedderOptions::new(source).pool(options.pool);
        Ok(source.layer(options.layer as i64).lengths(options.lengths))
    }

    /// Returns the options that a [`Predictor`] for parts must have. Downloads, devices and token budgets
    /// are free, because scores do not depend on them. The precision is [`Plan::dtype`].
    ///
    /// # Errors
    ///
    /// [`PlanError`](super::PlanError) for a plan of `embed`.
    pub fn predict_options(&self) -> Result<PredictOptions, Error> {
        Ok(self.judges()?.options(self.inputs(), Names::OfFiles, &self.directory))
    }

    /// Checks that a model is the plan's, and computes what the plan requires.
    pub(super) fn check(&self, embedder: &Embedder) -> Result<(), Error> {
        let ((model, options), given) = (self.rows()?, embedder.options());
        let (sha256, mut files, layer, lengths, dtype) = for_model!(embedder.any_model(), |warm| {
            let layer = given.layer_of(&warm.config)?;
            let dtype = warm.devices[0].backend.dtype();
            (warm.checksums.sha256(), beside(&warm.checksums), layer, warm.lengths, dtype)
        });
        files.sort();
        let mut planned = model.beside.clone();
        planned.sort();
        let names = |files: &[(String, String)]| {
            files.iter().map(|(name, sum)| format!("{name} ({sum})")).collect::<Vec<_>>().join(", ")
        };
        let lengths_of = |lengths| format!("{lengths:?}");
        let pairs = [
            (format!("SHA-256 of the weights of {}", model.name), sha256, model.sha256.clone()),
            (format!("configuration of {}", model.name), names(&files), names(&planned)),
            ("pooling".into(), given.pool_name().into(), options.pool_name().into()),
            ("layer".into(), layer.to_string(), options.layer.to_string()),
            ("length policy".into(), lengths_of(lengths), lengths_of(options.lengths)),
            ("precision".into(), dtype.to_string(), options.dtype.unwrap_or(dtype).to_string()),
        ];
        match pairs.into_iter().find(|(_, found, planned)| found != planned) {
            None => Ok(()),
            Some((what, found, planned)) => Err(PlanProblem::NotPlanned { what, found, planned }.into()),
        }
    }

    /// Checks that models and classifiers are the plan's, and compute what it requires.
    pub(super) fn check_predictor(&self, predictor: &Predictor) -> Result<(), PlanProblem> {
        let judges = self.judges()?;
        let said = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        if let Some(other) = predictor.identity().differences(&judges.identity).into_iter().next() {
            let (found, planned) = (said(other.is), said(other.was));
            return Err(PlanProblem::NotPlanned { what: other.name, found, planned });
        }
        let (found, planned) = (predictor.dtype(), judges.dtype.unwrap_or(predictor.dtype()));
        if found != planned {
            let (what, found, planned) = ("precision".to_owned(), found.to_string(), planned.to_string());
            return Err(PlanProblem::NotPlanned { what, found, planned });
        }
        Ok(())
    }

    /// Returns the part of this number.
    pub(super) fn part(&self, number: u64) -> Result<&PlannedPart, PlanProblem> {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let part = place.and_then(|place| self.parts.get(place));
        part.ok_or(PlanProblem::NoPart { number, parts: self.parts.len() as u64 })
    }

    /// Returns the inputs with absolute paths, and with the user's names for messages.
    pub(super) fn inputs(&self) -> Vec<Input> {
        self.facts.inputs.iter().map(|input| Input::from(input.path.clone())).collect()
    }

    /// Returns the path of a part's file.
    pub(super) fn part_path(&self, number: u64) -> PathBuf {
        place::join(&self.directory, &part_name(number))
    }

    /// Returns the path of a part's report.
    pub(super) fn report_path(&self, number: u64) -> PathBuf {
        place::join(&self.reports(), &format!("{number:06}.json"))
    }

    /// Returns the directory of the reports.
    pub(super) fn reports(&self) -> PathBuf {
        place::join(&self.directory, REPORTS)
    }

    /// Returns whether a path is that of a file of the plan, which may not exist yet.
    pub(super) fn has_file(&self, path: &Path) -> bool {
        let resolved = |directory: &Path| match place::url_of(directory) {
            Some(url) => PathBuf::from(url.shown()),
            None => directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf()),
        };
        let is_named = path.file_name().and_then(OsStr::to_str).is_some_and(is_own);
        let directory = resolved(&directory_of(path));
        is_named && [&self.directory, &self.reports()].into_iter().any(|own| resolved(own) == directory)
    }

    pub(super) fn manifest_path(&self) -> PathBuf {
        place::join(&self.directory, MANIFEST)
    }
}

/// Returns the name of a part's file.
pub(super) fn part_name(number: u64) -> String {
    format!("part-{number:06}.parquet")
}

/// Returns the number of a part whose file has this name; None for other names.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix("part-")?.strip_suffix(".parquet")?.parse().ok()?;
    (part_name(number) == name).then_some(number)
}

/// Returns whether a file of a plan has this name, in its directory or in that of the reports.
pub(super) fn is_own(name: &str) -> bool {
    let is_report = |number: &str| number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
    [FACTS, PARTS, MANIFEST].contains(&name)
        || number_of(name).is_some()
        || name.strip_suffix(".json").is_some_and(is_report)
}

impl PlannedPart {
    /// Returns the line of `plan.jsonl`.
    fn line(&self, facts: &PlanFacts) -> String {
        let RecordRange { source, ref bytes, ref text, line, record, before, records, weight, ref sha256 } =
            self.range;
        let file = facts.inputs.get(source as usize).map(|input| &*input.name);
        let mut value = json!({
            "part": self.number,
            "input": source,
            "file": file,
            "bytes": [bytes.start, bytes.end],
            "line": line,
            "record": record,
            "before": before,
            "records": records,
            "tokens": weight,
            "sha256": sha256,
        });
        if let (Some(TextRange { bytes, skip }), Some(value)) = (text, value.as_object_mut()) {
            value.insert("text".to_owned(), json!([bytes.start, bytes.end]));
            value.insert("skip".to_owned(), json!(skip));
        }
        value.to_string()
    }

    fn of_line(line: &[u8]) -> Option<PlannedPart> {
        let value: Value = serde_json::from_slice(line).ok()?;
        let number = |name| value.get(name)?.as_u64();
        let between = |value: &Value| match value.as_array()?[..] {
            [ref start, ref end] => Some(start.as_u64()?..end.as_u64()?),
            _ => None,
        };
        let of_blocks = match value.get("text") {
            Some(bytes) => Some(TextRange { bytes: between(bytes)?, skip: number("skip")? }),
            None => None,
        };
        Some(PlannedPart {
            number: number("part")?,
            range: RecordRange {
                source: u32::try_from(number("input")?).ok()?,
                bytes: between(value.get("bytes")?)?,
                text: of_blocks,
                line: number("line")?,
                record: number("record")?,
                before: number("before")?,
                records: number("records")?,
                weight: number("tokens")?,
                sha256: text(value.get("sha256")?)?,
            },
        })
    }
}

/// Returns whether the parts contain all records, each once and in order, in inputs of the plan.
fn are_contiguous(parts: &[PlannedPart], facts: &PlanFacts) -> bool {
    let mut next = 0;
    for (number, part) in (1..).zip(parts) {
        let range = &part.range;
        let is_there = (range.source as usize) < facts.inputs.len();
        if part.number != number || range.record != next || !is_there || range.bytes.start > range.bytes.end {
            return false;
        }
        next += range.records;
    }
    next == facts.records
}

fn read_file(path: &Path, directory: &Path) -> Result<Vec<u8>, PlanProblem> {
    place::read(path, LARGEST).map_err(|source| match (source.kind(), StoreError::of_io(&source)) {
        (_, Some(error)) if !matches!(error, StoreError::NoObject) => {
            PlanProblem::Read { path: path.into(), source }
        }
        (std::io::ErrorKind::NotFound, _) => PlanProblem::NoPlan { directory: directory.into() },
        _ => PlanProblem::Read { path: path.into(), source },
    })
}
