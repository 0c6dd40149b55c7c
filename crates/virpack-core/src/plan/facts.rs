//! The facts of a plan, as `plan.json` has them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use virpack_device::{Dtype, Pool};
use virpack_model::Location;
use virpack_seq::reader::CutInput;
use virpack_seq::{Input, LengthPolicy, LongRecords};

use super::PlanProblem;
use super::judges::PlannedJudges;
use crate::options::named_long_records;
use crate::output::OutputDtype;

/// The format of `plan.json` and `plan.jsonl`.
const FORMAT: u64 = 2;

/// The facts of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlanFacts {
    pub(super) inputs: Vec<PlannedInput>,
    pub(super) work: PlannedWork,
    /// The most tokens of a part.
    pub(super) part_tokens: u64,
    /// Records of all inputs.
    pub(super) records: u64,
    /// The tokens of all inputs, as counted from letters.
    pub(super) tokens: u64,
    /// What the reader passed over in the inputs, for people.
    pub(super) remarks: Vec<String>,
}

/// The work of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PlannedWork {
    /// Embeddings of records.
    Embed {
        /// The model.
        model: PlannedModel,
        /// The options of rows.
        options: RowOptions,
    },
    /// Scores of the records' chunks.
    Predict(Box<PlannedJudges>),
}

/// An input as it was planned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlannedInput {
    /// The name that the user gave; rows have it if there are several inputs.
    pub(super) name: String,
    /// The absolute path, or a URL.
    pub(super) path: PathBuf,
    pub(super) cut: CutInput,
}

/// The model of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlannedModel {
    /// The name that the user gave, or that of the built-in model that was selected.
    pub(super) name: String,
    /// The absolute path, if the name is a path.
    pub(super) path: Option<PathBuf>,
    /// SHA-256 of its weights.
    pub(super) sha256: String,
    /// Name, size and SHA-256 of each file beside them.
    pub(super) beside: Vec<(String, String)>,
    /// The number of values in a row.
    pub(super) hidden: usize,
}

impl PlannedModel {
    /// Returns the files of a model on a disk: that of its name, or all of its directory.
    pub(super) fn disk_files(&self) -> Vec<Location> {
        let Some(path) = &self.path else { return Vec::new() };
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.chain([path.clone()]).filter(|path| path.is_file()).map(Location::Disk).collect()
    }
}

/// The options that affect rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowOptions {
    pub(super) pool: Option<Pool>,
    /// The layer from 0, the embeddings.
    pub(super) layer: usize,
    /// The precision. None: the device's default.
    pub(super) dtype: Option<Dtype>,
    pub(super) dtype_out: OutputDtype,
    pub(super) lengths: LengthPolicy,
}

/// The names of pools in `plan.json`.
const POOLS: [(&str, Option<Pool>); 5] = [
    ("mean", Some(Pool::Mean)),
    ("cls", Some(Pool::Cls)),
    ("max", Some(Pool::Max)),
    ("mean-max", Some(Pool::MeanMax)),
    ("none", None),
];
pub(super) const DTYPES: [Dtype; 5] = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::F32Strict, Dtype::Int8];
const DTYPES_OUT: [OutputDtype; 2] = [OutputDtype::F32, OutputDtype::F16];

impl PlanFacts {
    /// Returns the facts as JSON, with the number of parts and the SHA-256 of their list.
    pub(super) fn to_json(&self, parts: u64, parts_sha256: &str) -> Map<String, Value> {
        let facts = json!({
            "format": FORMAT,
            "virpack": env!("CARGO_PKG_VERSION"),
            "inputs": self.inputs_json(),
            "part_tokens": self.part_tokens,
            "records": self.records,
            "tokens": self.tokens,
            "remarks": self.remarks,
            "parts": parts,
            "parts_sha256": parts_sha256,
        });
        let Value::Object(mut facts) = facts else { unreachable!("it was written as an object") };
        facts.extend(self.work.to_json());
        facts
    }

    /// Returns the inputs, each with its size and SHA-256.
    pub(super) fn inputs_json(&self) -> Value {
        self.inputs.iter().map(PlannedInput::to_json).collect()
    }

    /// Parses what [`PlanFacts::to_json`] returned, together with the number of parts and the SHA-256 of
    /// their list; None for anything else.
    pub(super) fn of_json(value: &Value) -> Option<(PlanFacts, u64, String)> {
        let number = |name| value.get(name)?.as_u64();
        let inputs = value.get("inputs")?.as_array()?.iter().map(PlannedInput::of_json);
        let facts = PlanFacts {
            inputs: inputs.collect::<Option<_>>()?,
            work: PlannedWork::of_json(value)?,
            part_tokens: number("part_tokens")?,
            records: number("records")?,
            tokens: number("tokens")?,
            remarks: value.get("remarks")?.as_array()?.iter().map(text).collect::<Option<_>>()?,
        };
        (number("format")? == FORMAT).then_some(())?;
        Some((facts, number("parts")?, text(value.get("parts_sha256")?)?))
    }

    /// Returns the inputs as the user named them.
    pub(super) fn sources(&self) -> Vec<String> {
        self.inputs.iter().map(|input| input.name.clone()).collect()
    }
}

impl PlannedWork {
    /// Returns the command that makes the parts.
    pub(super) fn command(&self) -> &'static str {
        match self {
            PlannedWork::Embed { .. } => "embed",
            PlannedWork::Predict(_) => "predict",
        }
    }

    /// Returns its members of `plan.json`, and of a manifest.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut facts = match self {
            PlannedWork::Embed { model, options } => {
                let pairs = [("model", model.to_json()), ("options", options.to_json())];
                pairs.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
            }
            PlannedWork::Predict(judges) => judges.to_json(),
        };
        facts.insert("command".to_owned(), self.command().into());
        facts
    }

    fn of_json(plan: &Value) -> Option<PlannedWork> {
        match plan.get("command")?.as_str()? {
            "embed" => Some(PlannedWork::Embed {
                model: PlannedModel::of_json(plan.get("model")?)?,
                options: RowOptions::of_json(plan.get("options")?)?,
            }),
            "predict" => Some(PlannedWork::Predict(Box::new(PlannedJudges::of_json(plan)?))),
            _ => None,
        }
    }

    /// Returns what a file records about its run.
    pub(super) fn about(&self) -> Vec<(String, String)> {
        let layer;
        let facts = match self {
            PlannedWork::Embed { model, options } => {
                layer = options.layer.to_string();
                vec![
                    ("model", &*model.name),
                    ("model_sha256", &*model.sha256),
                    ("pool", options.pool_name()),
                    ("layer", &*layer),
                ]
            }
            PlannedWork::Predict(judges) => vec![("model", judges.shown())],
        };
        facts.into_iter().map(|(name, value)| (format!("virpack.{name}"), value.to_owned())).collect()
    }
}

impl PlannedInput {
    pub(super) fn of(input: &Input, cut: CutInput) -> Result<PlannedInput, PlanProblem> {
        let path = match input {
            Input::Object(url) if url.has_secret() => {
                return Err(PlanProblem::Secret { path: url.shown().into() });
            }
            Input::Object(url) => url.shown().into(),
            input => absolute(input.path())?,
        };
        Ok(PlannedInput { name: input.to_string(), path, cut })
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "path": self.path.to_string_lossy(),
            "bytes": self.cut.bytes,
            "modified": self.cut.modified.and_then(shown_time),
            "sha256": self.cut.sha256,
        })
    }

    fn of_json(value: &Value) -> Option<PlannedInput> {
        let modified = match value.get("modified")? {
            Value::Null => None,
            time => Some(humantime::parse_rfc3339(time.as_str()?).ok()?),
        };
        Some(PlannedInput {
            name: text(value.get("name")?)?,
            path: text(value.get("path")?)?.into(),
            cut: CutInput {
                bytes: value.get("bytes")?.as_u64()?,
                modified,
                sha256: text(value.get("sha256")?)?,
            },
        })
    }
}

impl PlannedModel {
    pub(super) fn to_json(&self) -> Value {
        let beside = self.beside.iter().map(|(name, sum)| (name.clone(), Value::from(&**sum)));
        json!({
            "name": self.name,
            "path": self.path.as_ref().map(|path| path.to_string_lossy()),
            "sha256": self.sha256,
            "beside": Value::Object(beside.collect()),
            "hidden": self.hidden,
        })
    }

    fn of_json(value: &Value) -> Option<PlannedModel> {
        let path = match value.get("path")? {
            Value::Null => None,
            path => Some(path.as_str()?.into()),
        };
        let beside = value.get("beside")?.as_object()?;
        Some(PlannedModel {
            name: text(value.get("name")?)?,
            path,
            sha256: text(value.get("sha256")?)?,
            beside: beside
                .iter()
                .map(|(name, sum)| Some((name.clone(), text(sum)?)))
                .collect::<Option<_>>()?,
            hidden: usize::try_from(value.get("hidden")?.as_u64()?).ok().filter(|hidden| *hidden > 0)?,
        })
    }
}

impl RowOptions {
    pub(super) fn pool_name(&self) -> &'static str {
        POOLS.iter().find(|(_, pool)| *pool == self.pool).map_or("", |(name, _)| name)
    }

    pub(super) fn to_json(self) -> Value {
        let (long_records, overlap) = named_long_records(self.lengths.long_records);
        json!({
            "pool": self.pool_name(),
            "layer": self.layer,
            "dtype": self.dtype.map(|dtype| dtype.to_string()),
            "dtype_out": self.dtype_out.to_string(),
            "max_length": self.lengths.max_length,
            "min_length": self.lengths.min_length,
            "long_records": long_records,
            "window_overlap": overlap,
        })
    }

    fn of_json(value: &Value) -> Option<RowOptions> {
        let number = |name| usize::try_from(value.get(name)?.as_u64()?).ok();
        let name = |name| value.get(name)?.as_str();
        let pool = name("pool")?;
        let long_records = match name("long_records")? {
            "truncate" => LongRecords::Truncate,
            "window" => LongRecords::Window { overlap: number("window_overlap")? },
            "skip" => LongRecords::Skip,
            "error" => LongRecords::Error,
            _ => return None,
        };
        let dtype = match value.get("dtype")? {
            Value::Null => None,
            dtype => Some(DTYPES.into_iter().find(|known| dtype.as_str() == Some(&known.to_string()))?),
        };
        let dtype_out = name("dtype_out")?;
        Some(RowOptions {
            pool: POOLS.iter().find(|(known, _)| *known == pool)?.1,
            layer: number("layer")?,
            dtype,
            dtype_out: DTYPES_OUT.into_iter().find(|known| known.to_string() == dtype_out)?,
            lengths: LengthPolicy {
                max_length: number("max_length")?,
                min_length: number("min_length")?,
                long_records,
            },
        })
    }
}

/// Returns an absolute path.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, PlanProblem> {
    let failed = |source| PlanProblem::Read { path: path.into(), source };
    let absolute = std::path::absolute(path).map_err(failed)?;
    match absolute.to_str() {
        Some(_) => Ok(absolute),
        None => Err(PlanProblem::Name { path: absolute }),
    }
}

/// Returns a JSON string.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Returns a time as RFC 3339 with nanoseconds; None for a year that the format cannot express.
fn shown_time(time: SystemTime) -> Option<String> {
    let year_10000 = Duration::from_secs(253_402_300_800);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (since < year_10000).then(|| humantime::format_rfc3339_nanos(time).to_string())
}
