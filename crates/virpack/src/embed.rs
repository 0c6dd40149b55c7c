//! Sequence files to a file of embeddings: the straight line.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use virpack_device::{Cpu, Pool};
use virpack_seq::{
    AsyncDataLoader, BudgetLimits, CollatorOptions, EsmTokenizer, GreedyPacker, Input, LengthCounts,
    LengthPolicy, LoaderOptions, LongRecords, PackStats, PackerOptions, Records, VarlenCollator,
    available_memory, calculate_token_budget,
};

use crate::Error;
use crate::model::Encoder;
use crate::model::config::Esm2Config;
use crate::model::esm2::{Esm2, footprint};
use crate::model::weights::Weights;
use crate::output::{self, EmbeddingWriter, OutputOptions, Written};
use crate::runner::{AsyncInferenceRunner, Finished, RunnerOptions};

/// Most tokens in a batch on a CPU unless asked otherwise: more bring no speed there.
pub const CPU_TOKEN_BUDGET: usize = 4096;

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
    /// Most tokens in a batch; None: from the free memory, at most [`CPU_TOKEN_BUDGET`].
    pub token_budget: Option<usize>,
    /// Records collected before packing.
    pub buffer_size: usize,
    /// Off: one record a batch.
    pub packing: bool,
    /// Threads that compute; None: one a core.
    pub threads: Option<NonZeroUsize>,
    /// Replace an output that exists.
    pub force: bool,
}

/// How far a run is; given after each batch.
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
    /// Inputs that held nothing.
    pub empty_inputs: Vec<Input>,
}

/// Embeds every record of the inputs into the output.
///
/// `progress` is called after each batch.
///
/// # Errors
///
/// Everything that can go wrong is told with what, where and what to do; the output then does not exist.
pub fn embed(options: &EmbedOptions, mut progress: impl FnMut(Progress)) -> Result<Summary, Error> {
    options.check()?;
    let records = virpack_seq::reader::open(&options.inputs)?;
    let weights = Weights::open(&options.model)?;
    let config = Esm2Config::of(&weights)?;
    let runner_options = options.runner(&config)?;
    let mut out = output::create(&options.output, config.hidden, options.output())?;
    let cpu = Arc::new(Cpu::new(options.threads)?);
    let collator = options.collator(&config, &cpu)?;
    let model = Arc::new(Esm2::load(&*cpu, &weights)?);
    drop(weights);
    let start = Instant::now();
    let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, options.loader())?;
    let mut runner = AsyncInferenceRunner::new(cpu, Arc::clone(&model), loader.clone(), runner_options)?;
    let mut done = 0;
    for finished in &mut runner {
        done += write(&mut out, finished?, model.hidden_size())?;
        let read = loader.progress();
        progress(Progress { bytes: read.bytes(), total_bytes: read.total_bytes(), records: done });
    }
    let written = out.finish(loader.counters().lengths.records)?;
    Ok(summary(&loader, written, start.elapsed()))
}

/// Hands results to the writer; gives how many records they were.
fn write(out: &mut EmbeddingWriter, finished: Finished, hidden: usize) -> Result<u64, Error> {
    match finished {
        Finished::Embeddings { rows, values } => {
            let count = rows.len() as u64;
            for (row, embedding) in rows.into_iter().zip(values.chunks_exact(hidden)) {
                out.write(row, embedding)?;
            }
            Ok(count)
        }
        Finished::Skipped(records) => {
            records.iter().try_for_each(|record| out.skip(record))?;
            Ok(records.len() as u64)
        }
    }
}

fn summary(loader: &AsyncDataLoader, written: Written, elapsed: Duration) -> Summary {
    let counters = loader.counters();
    let empty = loader.progress().empty_inputs();
    Summary {
        written,
        lengths: counters.lengths,
        packing: loader.stats(),
        tokens: counters.tokens,
        elapsed,
        waited: counters.consumer_wait,
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
            buffer_size: CollatorOptions::default().buffer_size,
            packing: true,
            threads: None,
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

    fn collator(&self, config: &Esm2Config, cpu: &Cpu) -> Result<VarlenCollator, Error> {
        let longest = self.lengths.max_tokens();
        let token_budget = match self.token_budget {
            Some(token_budget) => token_budget,
            None => {
                let limits = BudgetLimits {
                    max: longest.checked_next_multiple_of(128).unwrap_or(usize::MAX).max(CPU_TOKEN_BUDGET),
                    min: longest,
                    shortest: self.lengths.min_length.max(1) + 2,
                };
                let memory = available_memory().unwrap_or(u64::MAX);
                let workspace = cpu.workspace(&config.products(), longest, config.hidden / config.heads);
                calculate_token_budget(memory, &footprint(config, 4, workspace), &limits)?
            }
        };
        let packer = GreedyPacker::new(PackerOptions::new(token_budget, longest))?;
        let options = CollatorOptions {
            buffer_size: self.buffer_size,
            enable_packing: self.packing,
            ..CollatorOptions::default()
        };
        Ok(VarlenCollator::new(packer, options)?)
    }
}

/// The records of a file, read into memory, with their mean embeddings of the last layer; for small inputs
/// and for tests.
///
/// # Errors
///
/// As [`embed`].
pub fn embed_records(
    records: Records,
    options: &EmbedOptions,
) -> Result<Vec<(output::Row, Vec<f32>)>, Error> {
    let weights = Weights::open(&options.model)?;
    let config = Esm2Config::of(&weights)?;
    let cpu = Arc::new(Cpu::new(options.threads)?);
    let collator = options.collator(&config, &cpu)?;
    let model = Arc::new(Esm2::load(&*cpu, &weights)?);
    let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, options.loader())?;
    let mut all = Vec::new();
    for finished in AsyncInferenceRunner::new(cpu, model, loader, options.runner(&config)?)? {
        if let Finished::Embeddings { rows, values } = finished? {
            all.extend(rows.into_iter().zip(values.chunks_exact(config.hidden).map(<[f32]>::to_vec)));
        }
    }
    all.sort_by_key(|(row, _)| row.record);
    Ok(all)
}
