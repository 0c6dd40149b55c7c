//! Runs that many machines share: a plan of parts, each of which any machine can make, and a commit that
//! checks all of them.
//!
//! [`plan`] reads the inputs once and divides them into parts: ranges of bytes that begin at a record
//! (FASTA and FASTQ), ranges of blocks in which one begins (the same in BGZF), or complete files (compressed
//! otherwise, BAM). A plan is a directory:
//!
//! | file | contents |
//! | --- | --- |
//! | `plan.json` | what the parts are made from: inputs, model, options, version; its SHA-256 is the plan's name |
//! | `plan.jsonl` | a line for each part: its number, file, bytes, first record, records, tokens, SHA-256 |
//! | `part-000017.parquet` | the rows of part 17, or the scores of its chunks |
//! | `_parts/000017.json` | the report of part 17: the plan's name, rows, skipped records, size, SHA-256 |
//! | `manifest.json` | once all parts exist: their report together |
//!
//! [`Plan::embed_part`] makes a part with a loaded model, [`Plan::predict_part`] with loaded models and
//! classifiers. Its bytes depend only on the plan and on the kind of device
//! (docs/concepts/reproducibility.md). The part is written to a temporary file, synced and renamed, and then
//! its `_parts` file is. An existing part is left unchanged. [`commit`] checks every part against the plan
//! and writes `manifest.json`, or joins the parts into one file, or into the tables of a run.

mod commit;
mod error;
mod facts;
mod join;
mod join_scores;
mod judges;
mod part;
mod part_report;
mod part_state;
mod planned;
mod score_rows;
mod score_table;

use std::path::{Path, PathBuf};

use virpack_device::available_memory;
use virpack_model::{FileChecksum, Location};
use virpack_seq::{Input, LengthPolicy, LongRecords, ReadLimits, Record, reader};

use crate::Error;
use crate::embedder::{EmbedderOptions, ModelChecksums, OpenedModel};
use crate::event::Event;
use crate::files::NewDirectory;
use crate::options::{FoundModel, setters};
use crate::output::OutputDtype;
use crate::predict::PredictOptions;

pub use commit::{CommitOptions, CommitSummary, commit};
pub use error::PlanError;
pub(crate) use error::PlanProblem;
use facts::{PlanFacts, PlannedInput, PlannedModel, PlannedWork, RowOptions};
use judges::PlannedJudges;
pub use part::PartSummary;
pub use planned::{Plan, PlannedPart};

/// The inputs and the model of a plan, the size of its parts, and its directory.
///
/// ```
/// use virpack_core::EmbedderOptions;
/// use virpack_core::plan::PlanOptions;
///
/// let model = EmbedderOptions::new("esm2_t33_650M_UR50D").layer(-2);
/// let options = PlanOptions::new(vec!["proteins.fasta".into()], model, "plan");
/// let options = options.part_tokens(20_000_000_u64);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlanOptions {
    inputs: Vec<Input>,
    embedder: EmbedderOptions,
    dtype_out: OutputDtype,
    limits: ReadLimits,
    part_tokens: u64,
    directory: PathBuf,
}

impl PlanOptions {
    /// Returns the options for parts of 50 million tokens. `inputs` are files; `embedder` is a model, or
    /// [`EmbedderOptions`], of which model, pooling, layer, lengths, precision and downloads count. Without a
    /// precision it is the default of the device that makes a part; [`commit`] refuses parts of two.
    pub fn new(
        inputs: Vec<Input>,
        embedder: impl Into<EmbedderOptions>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        PlanOptions {
            inputs,
            embedder: embedder.into(),
            dtype_out: OutputDtype::F32,
            limits: ReadLimits::fitting(available_memory()),
            part_tokens: 50_000_000,
            directory: directory.into(),
        }
    }

    setters! {
        /// Sets the type of the values in the files: float32 or float16.
        dtype_out: OutputDtype,
        /// Sets the largest record and the largest header of the inputs.
        limits: ReadLimits,
        /// Sets the most tokens of a part. A larger record is a part of its own, as is a file that cannot
        /// be divided.
        part_tokens: impl Into<u64>,
    }
}

/// Reads the inputs once and writes the plan of their parts. If the same plan exists, it is left unchanged.
///
/// The tokens of a record are counted as its letters that the model reads, plus two special tokens; a
/// tokenizer that merges letters makes fewer. `on_event` receives what a user should know about the model.
///
/// ```
/// use virpack_core::plan::{CommitOptions, PlanOptions, commit, plan};
/// use virpack_core::seq::ReadLimits;
/// use virpack_core::{CancelToken, Embedder};
///
/// # let folder = tempfile::tempdir()?;
/// let directory = folder.path().join("plan");
/// let inputs = vec!["../../examples/proteins.fasta".into()];
/// let options = PlanOptions::new(inputs, "virpack-mini", &directory).part_tokens(400_u64);
/// let plan = plan(&options, |_event| ())?;
/// let embedder = Embedder::new(plan.embedder_options()?, |_event| ())?;
/// for part in plan.parts() {
///     let limits = ReadLimits::default();
///     plan.embed_part(&embedder, part.number, limits, &CancelToken::new(), |_event| ())?;
/// }
/// let committed = commit(&CommitOptions::new(&directory))?;
/// assert_eq!((committed.parts, committed.rows), (plan.parts().len() as u64, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If options contradict each other, a model cannot be found or read, an input is not a file, a record is
/// invalid, another plan exists ([`PlanError`]), or a file cannot be written.
pub fn plan(options: &PlanOptions, mut on_event: impl FnMut(Event)) -> Result<Plan, Error> {
    options.embedder.check()?;
    if options.dtype_out == OutputDtype::Bf16 {
        return Err(PlanProblem::NoBf16.into());
    }
    let directory = NewDirectory::of_plan(&options.directory)?;
    let found = options.embedder.find_model_for(&options.inputs, options.limits, &mut on_event)?;
    let ReadModel { facts, layer, lengths } = ReadModel::read(&found, &options.embedder, &mut on_event)?;
    let rows = RowOptions {
        pool: options.embedder.pool,
        layer,
        dtype: options.embedder.device.asked_dtype(),
        dtype_out: options.dtype_out,
        lengths,
    };
    let cut = CutOptions { inputs: &options.inputs, limits: options.limits, most: options.part_tokens };
    let work = PlannedWork::Embed { model: facts, options: rows };
    let plan = cut.plan(&options.directory, work, |letters| tokens(&lengths, letters))?;
    directory.keep();
    Ok(plan)
}

/// Plans parts of `predict`, as [`plan`] does for `embed`. `options` are those of a run into the plan's
/// directory. What does not affect scores is left to [`commit`]: what is called viral, which files list it,
/// whether ids are made unique. VirNucPro's columns
/// ([`CallOptions::compat`](crate::calls::CallOptions::compat)) are those of the plan where `commit` names
/// none.
///
/// A base counts as a token.
///
/// ```
/// use virpack_core::model::mini;
/// use virpack_core::plan::{CommitOptions, commit, plan_predict};
/// use virpack_core::predict::{Bundle, PredictOptions, Predictor};
/// use virpack_core::seq::ReadLimits;
/// use virpack_core::CancelToken;
///
/// # let folder = tempfile::tempdir()?;
/// # let [directory, tables] = ["plan", "verdicts"].map(|name| folder.path().join(name));
/// let built_in = Bundle::open(&mini::location())?;
/// let inputs = vec!["../../examples/contigs.fasta".into()];
/// let options = PredictOptions::with_bundle(inputs, &built_in, None, &directory);
/// let plan = plan_predict(&options, 5_000, |_event| ())?;
/// let predictor = Predictor::new(plan.predict_options()?, |_event| ())?;
/// for part in plan.parts() {
///     let limits = ReadLimits::default();
///     plan.predict_part(&predictor, part.number, limits, &CancelToken::new(), |_event| ())?;
/// }
/// let committed = commit(&CommitOptions::new(&directory).output(tables.clone()))?;
/// assert_eq!(committed.predicted.unwrap().calls.counts.records, 5);
/// assert!(tables.join("sequences.tsv").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`plan`].
pub fn plan_predict(
    options: &PredictOptions,
    part_tokens: u64,
    mut on_event: impl FnMut(Event),
) -> Result<Plan, Error> {
    options.calls.check()?;
    let directory = NewDirectory::of_plan(&options.output)?;
    let judges = PlannedJudges::of(options, options.judge_facts(&mut on_event)?)?;
    let least = options.min_length as u64;
    let cut = CutOptions { inputs: &options.inputs, limits: options.limits, most: part_tokens };
    let work = PlannedWork::Predict(Box::new(judges));
    let weigh = |letters: u64| if letters < least { 1 } else { letters.max(1) };
    let plan = cut.plan(&options.output, work, weigh)?;
    directory.keep();
    Ok(plan)
}

/// The inputs to divide, and the size of the parts.
struct CutOptions<'a> {
    inputs: &'a [Input],
    limits: ReadLimits,
    /// Most tokens of a part.
    most: u64,
}

impl CutOptions<'_> {
    /// Divides the inputs, and writes the plan. `weigh` returns the tokens of a record with a number of
    /// letters.
    fn plan(self, directory: &Path, work: PlannedWork, weigh: impl Fn(u64) -> u64) -> Result<Plan, Error> {
        let mut parts = Vec::new();
        let weigh = |record: &Record| weigh(record.sequence.len() as u64);
        let each = |range| parts.push(PlannedPart { number: parts.len() as u64 + 1, range });
        let cut = reader::cut(self.inputs, self.limits, self.most, weigh, each)?;
        let inputs = self.inputs.iter().zip(cut.inputs).map(|(input, cut)| PlannedInput::of(input, cut));
        let facts = PlanFacts {
            inputs: inputs.collect::<Result<_, _>>()?,
            work,
            part_tokens: self.most,
            records: cut.records,
            tokens: cut.weight,
            remarks: cut.remarks.iter().map(ToString::to_string).collect(),
        };
        Plan::write(directory, facts, parts)
    }
}

/// The facts of a model that a plan needs.
struct ReadModel {
    facts: PlannedModel,
    layer: usize,
    lengths: LengthPolicy,
}

impl ReadModel {
    fn read(
        found: &FoundModel,
        options: &EmbedderOptions,
        on_event: &mut impl FnMut(Event),
    ) -> Result<ReadModel, Error> {
        OpenedModel::with(found, options, on_event, |opened| {
            let checksums = opened.hash()?.finish()?;
            let facts = PlannedModel {
                name: found.name.clone(),
                path: match &found.location {
                    // A model known by its name: the name finds the files of the cache.
                    Location::Disk(_) if Path::new(&found.name).exists() => {
                        Some(facts::absolute(Path::new(&found.name))?)
                    }
                    _ => None,
                },
                sha256: checksums.sha256(),
                beside: beside(&checksums),
                hidden: options.width(&opened.config),
            };
            Ok(ReadModel { facts, layer: options.layer_of(&opened.config)?, lengths: opened.lengths })
        })
    }
}

/// Returns names, sizes and hashes of the files beside a model's weights.
fn beside(checksums: &ModelChecksums) -> Vec<(String, String)> {
    let name = |file: &FileChecksum| {
        let path = file.location.path();
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    };
    checksums.beside.iter().map(|file| (name(file), file.size_and_sha256())).collect()
}

/// Returns the weight of a record in a part: its tokens, and 1 if it has none, so that no part has an
/// unlimited number of records.
fn tokens(lengths: &LengthPolicy, letters: u64) -> u64 {
    let (most, least) = (lengths.max_length as u64, (lengths.min_length as u64).max(1));
    match lengths.long_records {
        _ if letters < least => 1,
        _ if letters <= most => letters + 2,
        LongRecords::Skip => 1,
        LongRecords::Window { overlap } => {
            let overlap = overlap as u64;
            let windows = 1 + (letters - most).div_ceil(most.saturating_sub(overlap).max(1));
            letters + (windows - 1) * overlap + 2 * windows
        }
        LongRecords::Truncate | LongRecords::Error => most + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_weighs_what_the_model_reads_of_it() {
        let lengths = |long_records| LengthPolicy { max_length: 10, min_length: 3, long_records };
        let truncate = lengths(LongRecords::Truncate);
        assert_eq!([0, 2, 3, 10, 11, 99].map(|letters| tokens(&truncate, letters)), [1, 1, 5, 12, 12, 12]);
        let windows = lengths(LongRecords::Window { overlap: 4 });
        // 0..10, 6..16, 12..17: 25 letters of 17, and two special tokens for each window.
        assert_eq!([10, 11, 16, 17].map(|letters| tokens(&windows, letters)), [12, 19, 24, 31]);
        assert_eq!(tokens(&lengths(LongRecords::Skip), 11), 1);
    }
}
