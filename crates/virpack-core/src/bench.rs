//! Measures how fast the engine is on a device, beside its matrix products alone.

mod span;

use std::sync::Arc;
use std::time::{Duration, Instant};

use virpack_device::{Backend, Device, DeviceError, Pool, PoolSpan};
use virpack_seq::{
    AsyncDataLoader, CollatorOptions, EsmTokenizer, GreedyPacker, LengthPolicy, LoaderOptions, PackerOptions,
    Records, VarlenCollator,
};

use crate::Error;
use crate::embeddings::Embeddings;
use crate::memory;
use crate::options::{TokenBudget, setters};
use crate::runner::{AsyncInferenceRunner, IN_FLIGHT, RunnerItem, RunnerOptions};
use crate::synthetic::{Load, SyntheticFasta};
use span::{Completion, Span};
use virpack_model::{Esm2, Esm2Config, RandomTensors, TensorSource};

/// The options of a benchmark.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BenchOptions {
    config: Esm2Config,
    load: Load,
    token_budget: TokenBudget,
    time: Duration,
    rounds: usize,
}

impl BenchOptions {
    /// Returns the options for a model of this shape, with random weights, on these records: two rounds,
    /// each with 5 s of the model and 5 s of its products.
    pub fn new(config: Esm2Config, load: Load) -> Self {
        let (token_budget, time) = (TokenBudget::Auto, Duration::from_secs(5));
        BenchOptions { config, load, token_budget, time, rounds: 2 }
    }

    setters! {
        /// Sets the most tokens in a batch.
        token_budget: impl Into<TokenBudget>,
        /// Sets how long the model runs in each round, and then the products alone.
        time: Duration,
        /// Sets the number of rounds. In each, the products alone run after the model, because a card under
        /// sustained load has lower clocks than in a burst.
        rounds: usize,
    }
}

/// The phase of a benchmark, reported as it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The model is made, with random weights.
    Build,
    /// The first batches: kernels are loaded and algorithms are chosen.
    WarmUp,
    /// The same, after the first batch, whose results came after this time.
    FirstBatch(Duration),
    /// The complete engine, from records in memory to embeddings on the host.
    Model,
    /// The model's matrix products alone.
    Ceiling,
    /// The benchmark has ended.
    End,
}

/// The results of one round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Tokens per second, special tokens included, from records in memory to embeddings on the host.
    pub tokens_per_second: f64,
    /// Sequences per second.
    pub sequences_per_second: f64,
    /// The share of the time in which the device computed.
    pub busy: f64,
    /// Tokens per second of the model's matrix products alone.
    pub ceiling: f64,
}

/// The results of a benchmark.
#[derive(Clone, Debug)]
pub struct BenchReport {
    /// The device, for people.
    pub device: String,
    /// Most tokens in a batch.
    pub token_budget: usize,
    /// Time from the construction of the model, with its weights in memory, to the results of its first
    /// batch.
    pub first_batch: Duration,
    /// Bytes that the model was predicted to take, and those that the device reports, if it does.
    pub memory: (u64, Option<u64>),
    /// The results of each round.
    pub rounds: Vec<Round>,
}

/// A share that is impossible, because the rate was not steady while it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnsteadyError;

/// How far a share of the time may exceed 1, because it comes from the readings of two clocks.
const CLOCKS: f64 = 0.01;

impl BenchReport {
    /// Returns the model's rate as a share of that of its products, and the share of the time in which the
    /// device was busy, 0 to 1.
    ///
    /// # Errors
    ///
    /// [`UnsteadyError`] if one of them exceeds 1: the model contains these products and more.
    pub fn shares(&self) -> Result<[f64; 2], UnsteadyError> {
        let mean = self.mean();
        let share = mean.tokens_per_second / mean.ceiling;
        let is_share = |share: f64, most: f64| share.is_finite() && share <= most;
        let holds = is_share(share, 1.0) && is_share(mean.busy, 1.0 + CLOCKS);
        if holds { Ok([share, mean.busy.min(1.0)]) } else { Err(UnsteadyError) }
    }

    /// Returns the mean over the rounds.
    pub fn mean(&self) -> Round {
        let mean = |of: fn(&Round) -> f64| self.rounds.iter().map(of).sum::<f64>() / self.rounds.len() as f64;
        Round {
            tokens_per_second: mean(|r| r.tokens_per_second),
            sequences_per_second: mean(|r| r.sequences_per_second),
            busy: mean(|r| r.busy),
            ceiling: mean(|r| r.ceiling),
        }
    }
}

/// Runs a model of random weights on synthetic records, and then its products alone.
///
/// # Errors
///
/// The errors of the device.
pub fn bench<B: Device + 'static>(
    backend: Arc<B>,
    options: &BenchOptions,
    mut tell: impl FnMut(Phase),
) -> Result<BenchReport, Error> {
    let shape = options.config.shape();
    let min_length = options.load.shortest();
    let lengths = LengthPolicy { min_length, ..LengthPolicy::default() };
    tell(Phase::Build);
    let free = backend.free()?;
    let asked = memory::token_budget(&*backend, &shape, &lengths, false, options.token_budget)?;
    let model = Arc::new(Esm2::build(&*backend, options.config.clone(), &RandomTensors { seed: 1 })?);
    let begin = Instant::now();
    let token_budget = memory::reserve(&*backend, &shape, &lengths, false, asked)?;
    let engine = Engine { backend: Arc::clone(&backend), model, lengths, token_budget, load: options.load };
    tell(Phase::WarmUp);
    let mut first = None;
    let mut rate = engine.warm_up(|| {
        if first.is_none() {
            let elapsed = begin.elapsed();
            first = Some(elapsed);
            tell(Phase::FirstBatch(elapsed));
        }
    })?;
    let footprint = backend.footprint(&shape, lengths.max_tokens(), false);
    let sequences = (token_budget / (min_length + 2) + 1) as u64;
    let taken = backend.free()?.zip(free).map(|(now, before)| before.saturating_sub(now));
    let products = Products::new(&*backend, &options.config, token_budget)?;
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        tell(Phase::Model);
        let round = engine.run(options.time, rate)?;
        rate = round.tokens_per_second;
        tell(Phase::Ceiling);
        rounds.push(Round { ceiling: products.run(options.time)?, ..round });
    }
    tell(Phase::End);
    let memory = (memory::footprint(footprint, 0).bytes(token_budget as u64, sequences), taken);
    Ok(BenchReport {
        device: backend.name(),
        token_budget,
        first_batch: first.unwrap_or_default(),
        memory,
        rounds,
    })
}

struct Engine<B: Device> {
    backend: Arc<B>,
    model: Arc<Esm2<B>>,
    lengths: LengthPolicy,
    token_budget: usize,
    load: Load,
}

impl<B: Device + 'static> Engine<B> {
    fn start(&self, tokens: u64) -> Result<AsyncInferenceRunner, Error> {
        let records = Records::from_reader("made-up records", SyntheticFasta::new(self.load, tokens, 7))?;
        let packer = GreedyPacker::new(PackerOptions::new(self.token_budget, self.lengths.max_tokens()))?;
        let buffer_size = memory::buffer_size(self.token_budget);
        let options = CollatorOptions::default().buffer_size(buffer_size);
        let collator = VarlenCollator::new(packer, options)?;
        let options = LoaderOptions::default().lengths(self.lengths);
        let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, options)?;
        let options = RunnerOptions::new(self.model.config().layers);
        let device = (Arc::clone(&self.backend), Arc::clone(&self.model));
        AsyncInferenceRunner::new(vec![device], loader, options)
    }

    /// Returns the tokens per second of the batches after the first. `on_batch` is called when the results of
    /// a batch have arrived.
    fn warm_up(&self, on_batch: impl FnMut()) -> Result<f64, Error> {
        let span = self.complete(0.0, on_batch)?;
        Ok(span.rate(span.tokens))
    }

    /// Measures complete batches between two completions. The records take `time` at `rate` tokens per
    /// second, and all are run, because the longest records of a buffer come first.
    fn run(&self, time: Duration, rate: f64) -> Result<Round, Error> {
        let mut span = self.complete(rate * time.as_secs_f64(), || ())?;
        if 2 * span.elapsed < time {
            // The rate of the first batches does not predict that of the later ones.
            span = self.complete(span.rate(span.tokens) * time.as_secs_f64(), || ())?;
        }
        Ok(Round {
            tokens_per_second: span.rate(span.tokens),
            sequences_per_second: span.rate(span.sequences),
            busy: span.busy.as_secs_f64() / span.elapsed.as_secs_f64(),
            ceiling: 0.0,
        })
    }

    /// Runs records of about `tokens` tokens, and of the extra batches that are needed. Returns the span
    /// between two completions.
    fn complete(&self, tokens: f64, mut on_batch: impl FnMut()) -> Result<Span, Error> {
        let mut tokens = tokens as u64 + (2 + IN_FLIGHT as u64) * self.token_budget as u64;
        loop {
            let begun = Instant::now();
            let mut runner = self.start(tokens)?;
            let mut completions = Vec::new();
            while let Some(finished) = runner.next() {
                let RunnerItem::Embeddings(Embeddings { rows, .. }) = finished? else { continue };
                if rows.is_empty() {
                    continue;
                }
                completions.push(Completion {
                    at: begun.elapsed(),
                    tokens: rows.iter().map(|row| row.length + 2).sum(),
                    sequences: rows.len() as u64,
                    busy: runner.tallies()[0].busy,
                });
                on_batch();
            }
            match Span::between(&completions) {
                Some(span) => return Ok(span),
                // A few records may pack into fewer batches than planned.
                None => tokens *= 2,
            }
        }
    }
}

/// A layer's products with random weights.
struct Products<'a, B: Backend> {
    backend: &'a B,
    config: &'a Esm2Config,
    weights: Vec<B::Matrix>,
    packed: B::Packed,
    x: B::Tensor,
    /// The inputs of the products: `x`, and the result of the third product on it.
    inputs: [B::Tensor; 2],
    tokens: usize,
}

impl<'a, B: Backend> Products<'a, B> {
    fn new(backend: &'a B, config: &'a Esm2Config, tokens: usize) -> Result<Self, Error> {
        let random = RandomTensors { seed: 3 };
        let matrix = |name: &str, [rows, columns]: [usize; 2]| -> Result<B::Matrix, Error> {
            Ok(backend.matrix(rows, columns, random.read(name, &[rows, columns])?)?)
        };
        let names = ["qkv", "output", "up", "down"].into_iter().zip(config.products());
        let weights = names.map(|(name, shape)| matrix(name, shape)).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<u16> = (0..tokens).map(|i| 4 + (i % 20) as u16).collect();
        let packed = backend.packed(&ids, &[0, tokens as i32], tokens)?;
        let shape = [config.vocab, config.hidden];
        let table = backend.table(shape[0], shape[1], random.read("table", &shape)?)?;
        let embed = || backend.embed(&table, &packed, None);
        let (x, input) = (embed()?, backend.for_products(embed()?)?);
        let h = backend.for_products(backend.product(&input, &weights[2], None)?)?;
        Ok(Products { backend, config, weights, packed, x, inputs: [input, h], tokens })
    }

    fn layer(&self) -> Result<(), DeviceError> {
        let [qkv, output, up, down] = &self.weights[..] else { unreachable!("four products") };
        let [x, h] = &self.inputs;
        for (input, weight) in [(x, qkv), (x, output), (x, up), (h, down)] {
            self.backend.product(input, weight, None)?;
        }
        Ok(())
    }

    fn wait(&self) -> Result<(), DeviceError> {
        let none = PoolSpan { skip_first: 0, skip_last: 0 };
        let pending = self.backend.pool(&self.x, &self.packed, Pool::Cls, none)?;
        self.backend.wait(pending).map(|_| ())
    }

    /// Returns the tokens per second of these products alone.
    fn run(&self, time: Duration) -> Result<f64, Error> {
        self.layer()?;
        self.wait()?;
        let begin = Instant::now();
        let mut layers = 0;
        while begin.elapsed() < time {
            // As many products as one model has, so that waiting has the same share as there.
            (0..self.config.layers).try_for_each(|_| self.layer())?;
            self.wait()?;
            layers += self.config.layers;
        }
        let models = layers as f64 / self.config.layers as f64;
        Ok(self.tokens as f64 * models / begin.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_device::Cpu;

    #[test]
    fn no_share_exceeds_100_percent() {
        let report = |tokens_per_second, busy| BenchReport {
            device: String::new(),
            token_budget: 1,
            first_batch: Duration::ZERO,
            memory: (0, None),
            rounds: vec![Round { tokens_per_second, sequences_per_second: 1.0, busy, ceiling: 100.0 }],
        };
        assert_eq!(report(80.0, 0.5).shares(), Ok([0.8, 0.5]));
        assert_eq!(report(80.0, 1.005).shares(), Ok([0.8, 1.0]), "two clocks");
        assert_eq!(report(168.7, 0.9).shares(), Err(UnsteadyError));
        assert_eq!(report(80.0, 1.2).shares(), Err(UnsteadyError));
        assert_eq!(report(f64::NAN, 0.5).shares(), Err(UnsteadyError));
    }

    #[test]
    fn a_small_model_on_the_cpu() {
        let options = BenchOptions::new(Esm2Config::published(2, 32, 2), Load::Reads)
            .token_budget(1_024)
            .time(Duration::from_millis(50));
        let mut phases = Vec::new();
        let cpu = Arc::new(Cpu::new(None).unwrap());
        let report = bench(cpu, &options, |phase| phases.push(phase)).unwrap();
        use Phase::{Build, Ceiling, End, FirstBatch, Model, WarmUp};
        let first = FirstBatch(report.first_batch);
        assert_eq!(phases, [Build, WarmUp, first, Model, Ceiling, Model, Ceiling, End]);
        let mean = report.mean();
        assert!(mean.tokens_per_second > 0.0 && mean.tokens_per_second < mean.ceiling, "{mean:?}");
        assert!((50.0..53.0).contains(&(mean.tokens_per_second / mean.sequences_per_second)), "{mean:?}");
    }
}
