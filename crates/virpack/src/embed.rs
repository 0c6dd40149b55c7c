//! Sequence files to a file of embeddings: the straight line.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use virpack_device::{Cpu, Cuda, Pool};
use virpack_seq::{
    AsyncDataLoader, CollatorOptions, EsmTokenizer, GreedyPacker, Input, LengthCounts, LengthPolicy,
    LoaderOptions, LongRecords, PackStats, PackerOptions, Records, VarlenCollator,
};

use crate::Error;
use crate::devices::{Device, DeviceOptions};
use crate::memory::{self, Memory};
use crate::model::config::Esm2Config;
use crate::model::esm2::{Esm2, shape};
use crate::model::weights::Weights;
use crate::output::{self, EmbeddingWriter, OutputOptions, Written};
use crate::runner::{AsyncInferenceRunner, Finished, RunnerOptions};

/// Records collected before packing unless asked otherwise: where the token budget is large, as many as make two and a
/// half batches of short peptides (some 50 tokens), as fewer pack worse.
pub(crate) fn buffer_size(token_budget: usize) -> usize {
    CollatorOptions::default().buffer_size.max(token_budget / 20)
}

/// What to embed, with what, to where.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// FASTA or FASTQ, plain or compressed.
    pub inputs: Vec<Input>,
    /// A directory or file of weights.
    pub model: PathBuf,
    /// The model as the user named it, for the output's metadata.
    pub model_name: String,
    /// `.npy` or `.parquet`.
    pub output: PathBuf,
    /// How a record's rows become one.
    pub pool: Pool,
    /// After which layer, as fair-esm counts them; negative from the end. None: the last.
    pub layer: Option<i64>,
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
    /// Replace an output that exists.
    pub force: bool,
}

/// What a run tells while it goes on.
#[derive(Clone, Debug)]
pub enum Told {
    /// What runs the model, and the most tokens in a batch; before the first batch.
    Device {
        /// The device, for people.
        name: String,
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// The device had no room: batches have at most this many tokens from here on, and nothing is lost.
    Halved {
        /// Most tokens in a batch.
        token_budget: usize,
        /// What the device said.
        reason: String,
    },
    /// How far the run is; after each batch.
    Progress(Progress),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Bytes of the inputs read.
    pub bytes: u64,
    /// Bytes of all inputs, where they are files.
    pub total_bytes: Option<u64>,
    /// Records written or skipped.
    pub records: u64,
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
    /// Tokens, special ones included.
    pub tokens: u64,
    /// From the first record to the finished file, without loading the model.
    pub elapsed: Duration,
    /// Time the device waited for data.
    pub waited: Duration,
    /// Time the device computed.
    pub busy: Duration,
    /// Inputs that held nothing.
    pub empty_inputs: Vec<Input>,
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
    match options.device.open()? {
        Device::Cpu(cpu) => embed_on(Arc::new(cpu), options, tell),
        Device::Cuda(cuda) => embed_on(Arc::<Cuda>::from(cuda), options, tell),
    }
}

/// [`embed`] on a device that is ready.
///
/// # Errors
///
/// As [`embed`].
pub fn embed_on<B: Memory + 'static>(
    backend: Arc<B>,
    options: &EmbedOptions,
    mut tell: impl FnMut(Told),
) -> Result<Summary, Error> {
    let records = virpack_seq::reader::open(&options.inputs)?;
    let weights = Weights::open(&options.model)?;
    let config = Esm2Config::of(&weights)?;
    let runner_options = options.runner(&config)?;
    let mut out = output::create(&options.output, config.hidden, options.output())?;
    let asked = memory::token_budget(&*backend, &shape(&config), &options.lengths, options.token_budget)?;
    let model = Arc::new(Esm2::load(&*backend, &weights)?);
    drop(weights);
    let token_budget = memory::reserve(&*backend, &shape(&config), &options.lengths, asked)?;
    tell(Told::Device { name: backend.name(), token_budget });
    if token_budget < asked {
        tell(Told::Halved { token_budget, reason: format!("no room for batches of {asked} tokens") });
    }
    let start = Instant::now();
    let collator = options.collator(token_budget)?;
    let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, options.loader())?;
    let runner = AsyncInferenceRunner::new(backend, model, loader.clone(), runner_options)?;
    let busy = write_all(runner, &loader, &mut out, config.hidden, tell)?;
    let written = out.finish(loader.counters().lengths.records)?;
    Ok(summary(&loader, written, start.elapsed(), busy))
}

/// Hands all results to the writer; gives the time the device was busy.
fn write_all(
    mut runner: AsyncInferenceRunner,
    loader: &AsyncDataLoader,
    out: &mut EmbeddingWriter,
    hidden: usize,
    mut tell: impl FnMut(Told),
) -> Result<Duration, Error> {
    let mut records = 0;
    for finished in &mut runner {
        match finished? {
            Finished::Embeddings { rows, values } => {
                records += rows.len() as u64;
                for (row, embedding) in rows.into_iter().zip(values.chunks_exact(hidden)) {
                    out.write(row, embedding)?;
                }
            }
            Finished::Skipped(skipped) => {
                skipped.iter().try_for_each(|record| out.skip(record))?;
                records += skipped.len() as u64;
            }
            Finished::Halved { token_budget, reason } => tell(Told::Halved { token_budget, reason }),
        }
        let read = loader.progress();
        let (bytes, total_bytes) = (read.bytes(), read.total_bytes());
        tell(Told::Progress(Progress { bytes, total_bytes, records }));
    }
    Ok(runner.busy())
}

fn summary(loader: &AsyncDataLoader, written: Written, elapsed: Duration, busy: Duration) -> Summary {
    let counters = loader.counters();
    let empty = loader.progress().empty_inputs();
    Summary {
        written,
        lengths: counters.lengths,
        packing: loader.stats(),
        tokens: counters.tokens,
        elapsed,
        waited: counters.consumer_wait,
        busy,
        empty_inputs: empty.iter().map(|&i| loader.inputs()[i as usize].clone()).collect(),
    }
}

impl EmbedOptions {
    /// Mean embeddings of the last layer by `model`, a directory or file of weights, as `virpack embed`
    /// makes them without further options.
    pub fn new(inputs: Vec<Input>, model: &Path, output: &Path) -> Self {
        EmbedOptions {
            inputs,
            model: model.to_owned(),
            model_name: model.display().to_string(),
            output: output.to_owned(),
            pool: Pool::Mean,
            layer: None,
            lengths: LengthPolicy::default(),
            token_budget: None,
            buffer_size: None,
            packing: true,
            device: DeviceOptions::default(),
            force: false,
        }
    }

    /// Checks all that needs no model: the inputs are there, the output's name is free, lengths and token budget
    /// fit together.
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
        Ok(output::check(&self.output, self.force)?)
    }

    fn runner(&self, config: &Esm2Config) -> Result<RunnerOptions, Error> {
        let layers = config.layers as i64;
        let asked = self.layer.unwrap_or(layers);
        // fair-esm counts 0 (the embeddings) to the number of layers, and -1 is the last.
        let layer = if asked < 0 { asked + layers + 1 } else { asked };
        if !(0..=layers).contains(&layer) {
            return Err(Error::NoLayer { layer: asked, layers: config.layers });
        }
        let window_overlap = match self.lengths.long_records {
            LongRecords::Window { overlap } => overlap,
            _ => 0,
        };
        Ok(RunnerOptions { pool: self.pool, layer: layer as usize, window_overlap })
    }

    fn output(&self) -> OutputOptions {
        OutputOptions {
            force: self.force,
            sources: self.inputs.iter().map(Input::to_string).collect(),
            metadata: vec![("virpack.model".to_owned(), self.model_name.clone())],
            ..OutputOptions::default()
        }
    }

    fn loader(&self) -> LoaderOptions {
        LoaderOptions { lengths: self.lengths, ..LoaderOptions::default() }
    }

    fn collator(&self, token_budget: usize) -> Result<VarlenCollator, Error> {
        let packer = GreedyPacker::new(PackerOptions::new(token_budget, self.lengths.max_tokens()))?;
        let buffer_size = self.buffer_size.unwrap_or_else(|| buffer_size(token_budget));
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
    let weights = Weights::open(&options.model)?;
    let config = Esm2Config::of(&weights)?;
    let budget = memory::token_budget(&*cpu, &shape(&config), &options.lengths, options.token_budget)?;
    let model = Arc::new(Esm2::load(&*cpu, &weights)?);
    collect(cpu, model, records, options, budget)
}

/// The records with their embeddings, in memory and in the input's order.
pub(crate) fn collect<B: Memory + 'static>(
    backend: Arc<B>,
    model: Arc<Esm2<B>>,
    records: Records,
    options: &EmbedOptions,
    token_budget: usize,
) -> Result<Vec<(output::Row, Vec<f32>)>, Error> {
    let config = model.config().clone();
    let collator = options.collator(token_budget)?;
    let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, options.loader())?;
    let mut all = Vec::new();
    for finished in AsyncInferenceRunner::new(backend, model, loader, options.runner(&config)?)? {
        if let Finished::Embeddings { rows, values } = finished? {
            all.extend(rows.into_iter().zip(values.chunks_exact(config.hidden).map(<[f32]>::to_vec)));
        }
    }
    all.sort_by_key(|(row, _)| row.record);
    Ok(all)
}
