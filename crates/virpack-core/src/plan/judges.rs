//! The models and classifiers of a plan of `predict`, and how records are cut for them, as `plan.json` has
//! them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use virpack_device::Dtype;
use virpack_model::{FileChecksum, Location, mini};
use virpack_seq::{GeneticCode, Input};

use super::PlanProblem;
use super::facts::{DTYPES, absolute, text};
use crate::calls::{CallOptions, Compat};
use crate::devices::DeviceOptions;
use crate::identity::Identity;
use crate::options::{ModelSource, named};
use crate::predict::{JudgeFacts, PredictOptions};
use crate::verdict::RecordCalibration;

/// The models and classifiers of a plan of `predict`, and how records are cut.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlannedJudges {
    /// The name of all of them together, if they have one.
    name: Option<String>,
    nucleotide_model: PlannedSource,
    protein_model: PlannedSource,
    classifier: PlannedSource,
    nucleotide_classifier: Option<PlannedSource>,
    calibration: Option<RecordCalibration>,
    /// Path, size and SHA-256 of each file.
    files: Vec<(String, u64, String)>,
    /// The same files and how records are cut, in a form that the makers of parts compare.
    pub(super) identity: Identity,
    /// Bases of a chunk.
    pub(super) length: NonZeroUsize,
    genetic_code: GeneticCode,
    min_length: usize,
    /// The precision. None: the device's default.
    pub(super) dtype: Option<Dtype>,
    /// The default columns of VirNucPro's files in a commit.
    pub(super) compat: Option<Compat>,
}

/// The source of a model or a classifier.
#[derive(Clone, Debug, PartialEq)]
struct PlannedSource {
    /// The name that the user gave.
    name: String,
    /// The absolute path if the name is a path. None: it is known by its name, or built in.
    path: Option<PathBuf>,
}

/// The purpose of a plan's options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// To open files: paths are absolute.
    OfFiles,
    /// To name files in tables: as the user named them.
    AsGiven,
}

impl PlannedJudges {
    pub(super) fn of(options: &PredictOptions, facts: JudgeFacts) -> Result<Self, PlanProblem> {
        let file = |file: FileChecksum| (file.location.to_string(), file.bytes, file.sha256);
        Ok(PlannedJudges {
            name: options.name.clone(),
            nucleotide_model: PlannedSource::of_model(&options.nucleotide_model)?,
            protein_model: PlannedSource::of_model(&options.protein_model)?,
            classifier: PlannedSource::at(&options.classifier)?,
            nucleotide_classifier: options
                .nucleotide_classifier
                .as_ref()
                .map(PlannedSource::at)
                .transpose()?,
            calibration: options.calibration.clone(),
            files: facts.files.into_iter().map(file).collect(),
            identity: facts.identity,
            length: facts.length,
            genetic_code: options.genetic_code,
            min_length: options.min_length,
            dtype: options.device.asked_dtype(),
            compat: options.calls.compat,
        })
    }

    /// Returns the name of the models and classifiers.
    pub(super) fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.classifier.name)
    }

    /// Returns the files of models and classifiers.
    pub(super) fn files(&self) -> Vec<FileChecksum> {
        let files = self.files.iter().cloned();
        files
            .map(|(path, bytes, sha256)| FileChecksum { location: Path::new(&path).into(), bytes, sha256 })
            .collect()
    }

    /// Returns the options of a run with all of this.
    pub(super) fn options(&self, inputs: Vec<Input>, names: Names, output: &Path) -> PredictOptions {
        let models = [&self.nucleotide_model, &self.protein_model].map(|model| model.model(names));
        let nucleotide_classifier = self.nucleotide_classifier.as_ref().map(|own| own.location(names));
        PredictOptions::new(inputs, models, self.classifier.location(names), output)
            .name(self.name.clone())
            .nucleotide_classifier(nucleotide_classifier)
            .length(self.length)
            .genetic_code(self.genetic_code)
            .min_length(self.min_length)
            .calibration(self.calibration.clone())
            .calls(CallOptions::default().compat(self.compat))
            .device(DeviceOptions::default().dtype(self.dtype))
            .checkpoint(None)
    }

    /// Returns the two members of `plan.json`.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let file = |(path, bytes, sha256): &(String, u64, String)| {
            let (bytes, sha256) = (*bytes, &**sha256);
            json!({ "path": path, "bytes": bytes, "sha256": sha256 })
        };
        let models = json!({
            "name": self.name,
            "nucleotide": self.nucleotide_model.to_json(),
            "protein": self.protein_model.to_json(),
            "classifier": self.classifier.to_json(),
            "nucleotide_classifier": self.nucleotide_classifier.as_ref().map(PlannedSource::to_json),
            "calibration": self.calibration.as_ref().map(RecordCalibration::text),
            "files": self.files.iter().map(file).collect::<Value>(),
        });
        let options = json!({
            "length": self.length,
            "genetic_code": self.genetic_code.number(),
            "min_length": self.min_length,
            "dtype": self.dtype.map(|dtype| dtype.to_string()),
            "compat": self.compat.map(Compat::as_str),
            "scores": self.identity.to_json(),
        });
        [("models".to_owned(), models), ("options".to_owned(), options)].into_iter().collect()
    }

    /// Parses what [`PlannedJudges::to_json`] returned; None for anything else.
    pub(super) fn of_json(plan: &Value) -> Option<PlannedJudges> {
        let (models, options) = (plan.get("models")?, plan.get("options")?);
        let file = |file: &Value| {
            Some((text(file.get("path")?)?, file.get("bytes")?.as_u64()?, text(file.get("sha256")?)?))
        };
        let number = |name| usize::try_from(options.get(name)?.as_u64()?).ok();
        let dtype = some(options.get("dtype")?, |dtype| {
            DTYPES.into_iter().find(|known| dtype.as_str() == Some(&known.to_string()))
        })?;
        Some(PlannedJudges {
            name: some(models.get("name")?, text)?,
            nucleotide_model: PlannedSource::of_json(models.get("nucleotide")?)?,
            protein_model: PlannedSource::of_json(models.get("protein")?)?,
            classifier: PlannedSource::of_json(models.get("classifier")?)?,
            nucleotide_classifier: some(models.get("nucleotide_classifier")?, PlannedSource::of_json)?,
            calibration: some(models.get("calibration")?, |own| {
                RecordCalibration::parse(own.as_str()?).ok()
            })?,
            files: models.get("files")?.as_array()?.iter().map(file).collect::<Option<_>>()?,
            identity: Identity::of_json(options.get("scores")?)?,
            length: NonZeroUsize::new(number("length")?)?,
            genetic_code: GeneticCode::ncbi(u8::try_from(number("genetic_code")?).ok()?).ok()?,
            min_length: number("min_length")?,
            dtype,
            compat: some(options.get("compat")?, |own| Compat::named(own.as_str()?))?,
        })
    }
}

impl PlannedSource {
    fn of_model(model: &ModelSource) -> Result<Self, PlanProblem> {
        match model {
            ModelSource::At(location) => PlannedSource::at(location),
            ModelSource::Named(name) if Path::new(name).exists() => {
                PlannedSource::at(&Path::new(name).into())
            }
            ModelSource::Named(name) => Ok(PlannedSource { name: named(name).to_owned(), path: None }),
        }
    }

    fn at(location: &Location) -> Result<Self, PlanProblem> {
        let name = location.to_string();
        match location {
            Location::Disk(path) => Ok(PlannedSource { name, path: Some(absolute(path)?) }),
            Location::Memory { .. } if built_in(&name) == *location => Ok(PlannedSource { name, path: None }),
            Location::Memory { .. } => Err(PlanProblem::InMemory { name }),
        }
    }

    fn model(&self, names: Names) -> ModelSource {
        match &self.path {
            Some(path) if names == Names::OfFiles => ModelSource::At(Location::Disk(path.clone())),
            _ => ModelSource::Named(self.name.clone()),
        }
    }

    fn location(&self, names: Names) -> Location {
        match &self.path {
            Some(path) if names == Names::OfFiles => Location::Disk(path.clone()),
            Some(_) => Location::Disk(PathBuf::from(&self.name)),
            None => built_in(&self.name),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "name": self.name, "path": self.path.as_ref().map(|path| path.to_string_lossy()) })
    }

    fn of_json(value: &Value) -> Option<Self> {
        let path = some(value.get("path")?, |path| path.as_str().map(PathBuf::from))?;
        Some(PlannedSource { name: text(value.get("name")?)?, path })
    }
}

/// Returns a file of the built-in model, or a directory of it, by its name.
fn built_in(name: &str) -> Location {
    let inner = name.strip_prefix(mini::NAME).and_then(|rest| rest.strip_prefix('/'));
    mini::location().join(inner.unwrap_or(name))
}

/// Reads a value that may be null; None if `read` does not accept it.
fn some<T>(value: &Value, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    match value {
        Value::Null => Some(None),
        value => read(value).map(Some),
    }
}
