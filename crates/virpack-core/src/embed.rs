//! Sequence files to a file of embeddings: the straight line.

mod identity;
mod load;
mod report;
mod results;
mod rows;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use virpack_device::{Cpu, Device, Pool, available_memory};
use virpack_seq::{
    AsyncDataLoader, CollatorOptions, GreedyPacker, Input, InputChecksum, InputRemark, LengthCounts,
    LengthPolicy, LoaderOptions, LongRecords, PackStats, PackerOptions, ReadLimits, ReadOptions, RecordSet,
    Records, Shard, VarlenCollator,
};

use crate::Error;
use crate::checkpoint::{CheckpointOptions, Found, Place, Saved};
use crate::devices::DeviceOptions;
pub use crate::event::Told;
use crate::for_devices;
use crate::memory;
use crate::model::ModelConfig;
use crate::model::checksum::sum_of_all;
use crate::model::hub::Refetch;
use crate::model::location::Location;
use crate::model::weights::Weights;
use crate::output::{self, OutputDtype, OutputFormat, OutputOptions, Written};
use crate::progress::{ModelProgress, Progress};
use crate::ready::{self, Ready};
use crate::runner::{AsyncInferenceRunner, DeviceTally, Finished, RunnerOptions};
use identity::Known;
use load::{Loaded, earlier_budget};
use results::Results;

/// What to embed, with what, to where.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// FASTA or FASTQ, plain or compressed.
    pub inputs: Vec<Input>,
    /// A directory or file of weights.
    pub model: Location,
    /// Downloads a damaged file of the model again, if it is in the Hub's cache; None: it ends the run.
    pub refetch: Option<Refetch>,
    /// The model as the user named it, for the output's metadata.
    pub model_name: String,
    /// `.npy`, `.parquet`, `.arrows`, `.safetensors` or `.h5`; `-` is standard output, for `.npy` and `.arrows`.
    pub output: PathBuf,
    /// Its format; None: what its name's ending says.
    pub format: Option<OutputFormat>,
    /// The type of its values.
    pub dtype_out: OutputDtype,
    /// How a record's rows become one; None: every residue keeps its own.
    pub pool: Option<Pool>,
    /// After which layer, as fair-esm counts them; negative from the end. None: the last.
    pub layer: Option<i64>,
    /// The largest record and the largest header of the inputs.
    pub limits: ReadLimits,
    /// Which lengths go through.
    pub lengths: LengthPolicy,
    /// Most tokens in a batch; None: what fits the device's free memory, at most where more brings no speed.
    pub token_budget: Option<usize>,
    /// Records collected before packing; None: 2,000, or more where the token budget is large.
    pub buffer_size: Option<usize>,
    /// Off: one record a batch.
    pub packing: bool,
    /// What runs the model.
    pub device: DeviceOptions,
    /// How long a device may hold a batch without giving one back before it is given up; None: for ever.
    pub device_timeout: Option<Duration>,
    /// Every N-th record only, into a `.shard`; None: all.
    pub shard: Option<Shard>,
    /// Keep what is finished in `OUT.partial` while the run goes on, where the inputs are files; None: do not.
    pub checkpoint: Option<CheckpointOptions>,
    /// Once set, the batches in flight are finished and kept, and the run ends with [`Error::Interrupted`].
    pub stop: Arc<AtomicBool>,
    /// Replace an output that exists, and the parts of an unfinished run.
    pub force: bool,
}

/// What a run has done.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Rows, skipped records and files.
    pub written: Written,
    /// What became of the records' lengths.
    pub lengths: LengthCounts,
    /// How well the batches were filled.
    pub packing: Option<PackStats>,
    /// Tokens that this run has computed, special ones included.
    pub tokens: u64,
    /// Records that an earlier run had finished.
    pub resumed: u64,
    /// From the first record to the finished file, without loading the model.
    pub elapsed: Duration,
    /// Time the device waited for data.
    pub waited: Duration,
    /// Each device, for people, and what it has done.
    pub devices: Vec<(String, DeviceTally)>,
    /// The inputs, as they were named, with sizes and checksums.
    pub inputs: Vec<(Input, Option<InputChecksum>)>,
    /// What was passed over in the inputs, and which held nothing.
    pub remarks: Vec<InputRemark>,
    /// What `OUT.run.json` says.
    pub report: Map<String, Value>,
}

/// Embeds every record of the inputs into the output.
///
/// `tell` is called when the device is ready, after each batch, and when something happens that a user should know.
///
/// # Errors
///
/// Everything that can go wrong is told with what, where and what to do; the output then does not exist.
pub fn embed(options: &EmbedOptions, tell: impl FnMut(Told)) -> Result<Summary, Error> {
    options.check()?;
    for_devices!(options.device.open_all()?, |devices| embed_on(devices, options, tell))
}

/// [`embed`] on devices that are ready, at least one.
///
/// # Errors
///
/// As [`embed`].
pub fn embed_on<B: Device + 'static>(
    backends: Vec<Arc<B>>,
    options: &EmbedOptions,
    mut tell: impl FnMut(Told),
) -> Result<Summary, Error> {
    let begun = Instant::now();
    let reading = ReadOptions { limits: options.limits, checksums: true };
    let records = virpack_seq::reader::open_with(&options.inputs, reading)?;
    let records = records.shard(options.shard.unwrap_or(Shard::ALL));
    let reading = records.progress();
    let found = options.found()?;
    let Loaded { config, sums, files, devices, dtype } =
        Loaded::load(&backends, options, found.as_ref(), &mut tell)?;
    drop(backends);
    let token_budget = earlier_budget(found.as_ref()).unwrap_or_else(|| smallest_budget(&devices));
    let known = Known { options, config: &config, sha256: sum_of_all(&sums), dtype };
    let (mut results, resumed) = Results::open(&known, found, files, token_budget, &reading)?;
    devices.iter().flat_map(Ready::told).chain(resumed.map(Told::Kept)).for_each(&mut tell);
    let loading = begun.elapsed();
    let start = Instant::now();
    let batches = Batches { token_budget, done: Arc::clone(&results.done) };
    let (loader, runner) = options.start(&devices, records, batches)?;
    let tallies = run_all(runner, &loader, &mut results, token_budget, tell)?;
    if options.stop.load(Ordering::Relaxed) {
        return Err(results.interrupt());
    }
    let resumed = results.done.len();
    let whole = results.complete(reading.records(), &crate::report::read(loader.inputs(), &reading))?;
    let names = devices.iter().map(|device| device.backend.name());
    let done = names.zip(tallies).collect();
    let computed_by: Vec<_> = devices.iter().map(|device| device.backend.computed_by()).collect();
    let mut summary = Summary { resumed, ..summary(&loader, whole.written().clone(), start.elapsed(), done) };
    summary.report = report::of(options, &config, &sums, loading, &summary, &computed_by)?;
    whole.describe(options, &mut summary.report);
    summary.written = whole.publish(&summary.report)?;
    Ok(summary)
}

/// How batches are made, beyond what the options say.
struct Batches {
    /// Most tokens in a batch.
    token_budget: usize,
    /// Records that need not be run.
    done: Arc<RecordSet>,
}

/// All devices get batches of the smallest one's budget.
fn smallest_budget<B: Device>(devices: &[Ready<B>]) -> usize {
    devices.iter().map(|device| device.token_budget).min().unwrap_or(0)
}

/// Hands all results on; gives what each device has done.
fn run_all(
    mut runner: AsyncInferenceRunner,
    loader: &AsyncDataLoader,
    results: &mut Results,
    token_budget: usize,
    mut tell: impl FnMut(Told),
) -> Result<Vec<DeviceTally>, Error> {
    while let Some(finished) = runner.next() {
        match finished? {
            Finished::Halved { token_budget, reason } => tell(Told::Halved { token_budget, reason }),
            Finished::Lost { device, reason } => tell(Told::Lost { device, reason }),
            finished => results.take(finished)?,
        }
        let (counters, tallies) = (loader.counters(), runner.tallies());
        let tokens = counters.tokens - counters.tokens_done;
        let model = ModelProgress { model: None, tokens, cost: 1.0, token_budget, tallies };
        tell(Told::Progress(Progress::new(loader.progress(), results.records, &[model])));
    }
    Ok(runner.tallies())
}

fn summary(
    loader: &AsyncDataLoader,
    written: Written,
    elapsed: Duration,
    devices: Vec<(String, DeviceTally)>,
) -> Summary {
    let counters = loader.counters();
    Summary {
        written,
        lengths: counters.lengths,
        packing: loader.stats(),
        tokens: counters.tokens - counters.tokens_done,
        resumed: 0,
        elapsed,
        waited: counters.consumer_wait,
        devices,
        inputs: crate::report::read(loader.inputs(), loader.progress()),
        remarks: loader.progress().remarks_on(loader.inputs()),
        report: Map::new(),
    }
}

impl Summary {
    /// The share of the time that the devices computed.
    pub fn busy(&self) -> f64 {
        let busy: f64 = self.devices.iter().map(|(_, tally)| tally.busy.as_secs_f64()).sum();
        busy / self.devices.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl EmbedOptions {
    /// Mean embeddings of the last layer by `model`, a directory or file of weights, as `virpack embed`
    /// makes them without further options. Lengths are ESM-2's; for another model `lengths.max_length` is
    /// [`ModelConfig::max_length`].
    pub fn new(inputs: Vec<Input>, model: &Path, output: &Path) -> Self {
        EmbedOptions {
            inputs,
            model: model.into(),
            refetch: None,
            model_name: model.display().to_string(),
            output: output.to_owned(),
            format: None,
            dtype_out: OutputDtype::F32,
            pool: Some(Pool::Mean),
            layer: None,
            limits: ReadLimits::fitting(available_memory()),
            lengths: LengthPolicy::default(),
            token_budget: None,
            buffer_size: None,
            packing: true,
            device: DeviceOptions::default(),
            device_timeout: None,
            shard: None,
            checkpoint: Some(CheckpointOptions::default()),
            stop: Arc::default(),
            force: false,
        }
    }

    /// Checks all that needs no model: the inputs are there, the output's name is free, its format can hold what is
    /// asked for, lengths and token budget fit together.
    ///
    /// # Errors
    ///
    /// The first of them that is not so.
    pub fn check(&self) -> Result<(), Error> {
        virpack_seq::reader::open(&self.inputs)?;
        self.lengths.check()?;
        if let Some(token_budget) = self.token_budget {
            GreedyPacker::new(PackerOptions::new(token_budget, self.lengths.max_tokens()))?;
        }
        if self.pool.is_none() && matches!(self.lengths.long_records, LongRecords::Window { .. }) {
            return Err(Error::ResidueWindows);
        }
        self.check_stdout()?;
        self.check_shard()?;
        let found = self.found()?;
        let options = self.output(Vec::new(), found.as_ref());
        output::check(&self.output, &options, &self.inputs)?;
        Ok(())
    }

    /// Checks that no file of the output is one of the model's.
    fn check_apart(&self, weights: &Weights) -> Result<(), Error> {
        let names = output::names(&self.output, &self.output(Vec::new(), None))?;
        let files = weights.files().map(|(file, _)| file.clone()).chain(weights.beside());
        Ok(output::check_apart_from_models(names.iter().map(PathBuf::as_path), files)?)
    }

    /// What an unfinished run of this output has kept; None where it has finished nothing.
    #[must_use]
    pub fn saved(&self) -> Option<Saved> {
        Place::beside(&self.output).saved()
    }

    /// Starts the threads that read, pack and run.
    fn start<B: Device + 'static>(
        &self,
        devices: &[Ready<B>],
        records: Records,
        batches: Batches,
    ) -> Result<(AsyncDataLoader, AsyncInferenceRunner), Error> {
        let model = &devices[0].model;
        let window_overlap = match self.lengths.long_records {
            LongRecords::Window { overlap } if !model.tokenizer.merges_letters() => overlap,
            _ => 0,
        };
        let (pool, layer, device_timeout) = (self.pool, self.layer(&model.config)?, self.device_timeout);
        let Batches { token_budget, done } = batches;
        let stop = Arc::clone(&self.stop);
        let loading = LoaderOptions {
            lengths: self.lengths,
            done: Some(Arc::clone(&done)),
            ..LoaderOptions::default()
        };
        let options = RunnerOptions { pool, layer, window_overlap, device_timeout, done, stop };
        let tokenizer = Arc::clone(&model.tokenizer);
        let loader = AsyncDataLoader::new(records, tokenizer, self.collator(token_budget)?, loading)?;
        let on = |device: &Ready<B>| (Arc::clone(&device.backend), Arc::clone(&device.model.encoder));
        let runner = AsyncInferenceRunner::new(devices.iter().map(on).collect(), loader.clone(), options)?;
        Ok((loader, runner))
    }

    fn layer(&self, config: &ModelConfig) -> Result<usize, Error> {
        let layers = config.layers() as i64;
        let asked = self.layer.unwrap_or(layers);
        // fair-esm counts 0 (the embeddings) to the number of layers, and -1 is the last.
        let layer = if asked < 0 { asked + layers + 1 } else { asked };
        if !(0..=layers).contains(&layer) {
            return Err(Error::NoLayer { layer: asked, layers: config.layers() });
        }
        Ok(layer as usize)
    }

    /// What a file says of the run it comes from.
    fn about(&self, config: &ModelConfig, sha256: &str) -> Result<Vec<(String, String)>, Error> {
        let layer = self.layer(config)?.to_string();
        let facts = [
            ("model", &*self.model_name),
            ("model_sha256", sha256),
            ("pool", self.pool_name()),
            ("layer", &*layer),
        ];
        Ok(facts.map(|(name, value)| (format!("virpack.{name}"), value.to_owned())).to_vec())
    }

    fn pool_name(&self) -> &'static str {
        match self.pool {
            Some(Pool::Mean) => "mean",
            Some(Pool::Cls) => "cls",
            Some(Pool::Max) => "max",
            None => "none",
        }
    }

    fn output(&self, metadata: Vec<(String, String)>, found: Option<&Found>) -> OutputOptions {
        OutputOptions {
            // What a killed run has named of its own gives way; what is whole already is told of later.
            force: self.force
                || found.is_some_and(|found| found.is_publishing() || found.complete().is_some()),
            format: self.format,
            dtype: self.dtype_out,
            residues: self.pool.is_none(),
            sources: self.inputs.iter().map(Input::to_string).collect(),
            metadata,
            ..OutputOptions::default()
        }
    }

    fn collator(&self, token_budget: usize) -> Result<VarlenCollator, Error> {
        let packer = GreedyPacker::new(PackerOptions::new(token_budget, self.lengths.max_tokens()))?;
        let buffer_size = self.buffer_size.unwrap_or_else(|| memory::buffer_size(token_budget));
        let options =
            CollatorOptions { buffer_size, enable_packing: self.packing, ..CollatorOptions::default() };
        Ok(VarlenCollator::new(packer, options)?)
    }
}

/// The records with their embeddings by the CPU, in memory; for small inputs and for tests.
///
/// # Errors
///
/// As [`embed`].
pub fn embed_records(
    records: Records,
    options: &EmbedOptions,
) -> Result<Vec<(output::Row, Vec<f32>)>, Error> {
    let cpu = Arc::new(Cpu::new(options.device.threads)?);
    let weights = Weights::at(&options.model)?;
    let devices = ready::all(vec![cpu], &weights, &options.lengths, false, options.token_budget)?;
    collect(&devices, records, options)
}

/// The records with their embeddings, in memory and in the input's order.
pub(crate) fn collect<B: Device + 'static>(
    devices: &[Ready<B>],
    records: Records,
    options: &EmbedOptions,
) -> Result<Vec<(output::Row, Vec<f32>)>, Error> {
    let hidden = devices[0].model.config.hidden();
    let batches = Batches { token_budget: smallest_budget(devices), done: Arc::default() };
    let (_loader, runner) = options.start(devices, records, batches)?;
    let mut all = Vec::new();
    for finished in runner {
        if let Finished::Embeddings { rows, values } = finished? {
            all.extend(rows.into_iter().zip(values.chunks_exact(hidden).map(<[f32]>::to_vec)));
        }
    }
    all.sort_by_key(|(row, _)| row.record);
    Ok(all)
}
