//! How fast the whole engine is on a device, beside its matrix products alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use virpack_device::{Backend, DeviceError, Pool, PoolSpan};
use virpack_seq::{
    AsyncDataLoader, CollatorOptions, EsmTokenizer, GreedyPacker, LengthPolicy, LoaderOptions, PackerOptions,
    Records, VarlenCollator,
};

use crate::Error;
use crate::embed::buffer_size;
use crate::memory::{self, Memory};
use crate::model::config::Esm2Config;
use crate::model::esm2::{Esm2, shape};
use crate::model::source::{RandomTensors, TensorSource};
use crate::runner::{AsyncInferenceRunner, Finished, RunnerOptions};
use crate::synthetic::{Load, SyntheticFasta};

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The model's shape; its weights are random.
    pub config: Esm2Config,
    /// The records.
    pub load: Load,
    /// Most tokens in a batch; None: as `embed` would take.
    pub token_budget: Option<usize>,
    /// How long the model runs, and then the products alone, in each round.
    pub time: Duration,
    /// Rounds; the products alone run after the model in each, as a card under sustained load clocks lower than in a
    /// burst.
    pub rounds: usize,
}

/// What is running, told as it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first batches: kernels are loaded and algorithms chosen.
    WarmUp,
    /// The whole engine, records in memory to embeddings on the host.
    Model,
    /// The model's matrix products alone.
    Ceiling,
    /// Nothing any more.
    End,
}

/// One round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Tokens a second, special ones included, from records in memory to embeddings on the host.
    pub tokens_per_second: f64,
    /// Sequences a second.
    pub sequences_per_second: f64,
    /// Share of the time that the device computed.
    pub busy: f64,
    /// Tokens a second if the model were its matrix products alone.
    pub ceiling: f64,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct BenchReport {
    /// The device, for people.
    pub device: String,
    /// Most tokens in a batch.
    pub token_budget: usize,
    /// From the model's building to its first batch's results, with weights in memory.
    pub first_batch: Duration,
    /// Bytes that the model was said to take, and that the device reports, where it does.
    pub memory: (u64, Option<u64>),
    /// Each round.
    pub rounds: Vec<Round>,
}

impl BenchReport {
    /// The mean over the rounds.
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

/// Runs a model of random weights on made-up records for some time, and its products alone.
///
/// # Errors
///
/// What the device says.
pub fn bench<B: Memory + 'static>(
    backend: Arc<B>,
    options: &BenchOptions,
    mut tell: impl FnMut(Phase),
) -> Result<BenchReport, Error> {
    let shape = shape(&options.config);
    let min_length = options.load.shortest();
    let lengths = LengthPolicy { min_length, ..LengthPolicy::default() };
    let free = backend.free()?;
    let asked = memory::token_budget(&*backend, &shape, &lengths, false, options.token_budget)?;
    let model = Arc::new(Esm2::build(&*backend, options.config.clone(), &RandomTensors { seed: 1 })?);
    let begin = Instant::now();
    let token_budget = memory::reserve(&*backend, &shape, &lengths, false, asked)?;
    let engine = Engine { backend: Arc::clone(&backend), model, lengths, token_budget, load: options.load };
    tell(Phase::WarmUp);
    let (first, mut rate) = engine.warm_up()?;
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
    let memory = (footprint.bytes(token_budget as u64, sequences), taken);
    Ok(BenchReport { device: backend.name(), token_budget, first_batch: first - begin, memory, rounds })
}

struct Engine<B: Memory> {
    backend: Arc<B>,
    model: Arc<Esm2<B>>,
    lengths: LengthPolicy,
    token_budget: usize,
    load: Load,
}

impl<B: Memory + 'static> Engine<B> {
    fn start(&self, tokens: u64) -> Result<AsyncInferenceRunner, Error> {
        let records = Records::from_reader("made-up records", SyntheticFasta::new(self.load, tokens, 7))?;
        let packer = GreedyPacker::new(PackerOptions::new(self.token_budget, self.lengths.max_tokens()))?;
        let buffer_size = buffer_size(self.token_budget);
        let options = CollatorOptions { buffer_size, ..CollatorOptions::default() };
        let collator = VarlenCollator::new(packer, options)?;
        let options = LoaderOptions { lengths: self.lengths, ..LoaderOptions::default() };
        let loader = AsyncDataLoader::new(records, EsmTokenizer::new(), collator, options)?;
        let options = RunnerOptions::mean(self.model.config().layers);
        let device = (Arc::clone(&self.backend), Arc::clone(&self.model));
        AsyncInferenceRunner::new(vec![device], loader, options)
    }

    /// When the first batch's results are there, and how many tokens a second the next ones are.
    fn warm_up(&self) -> Result<(Instant, f64), Error> {
        let mut runner = self.start(4 * self.token_budget as u64)?;
        runner.next().transpose()?;
        let first = Instant::now();
        let (tokens, _) = count(&mut runner)?;
        Ok((first, tokens as f64 / first.elapsed().as_secs_f64()))
    }

    /// From the first results to the last, of as many records as take `time` at `rate` tokens a second: to the end, as
    /// a buffer's longest records come first.
    fn run(&self, time: Duration, rate: f64) -> Result<Round, Error> {
        let tokens = (rate * time.as_secs_f64()) as u64 + 2 * self.token_budget as u64;
        let mut runner = self.start(tokens)?;
        runner.next().transpose()?;
        let (begin, busy_before) = (Instant::now(), runner.tallies()[0].busy);
        let (tokens, sequences) = count(&mut runner)?;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Round {
            tokens_per_second: tokens as f64 / seconds,
            sequences_per_second: sequences as f64 / seconds,
            busy: (runner.tallies()[0].busy - busy_before).as_secs_f64() / seconds,
            ceiling: 0.0,
        })
    }
}

/// Tokens and sequences of all results to come.
fn count(runner: &mut AsyncInferenceRunner) -> Result<(u64, u64), Error> {
    let (mut tokens, mut sequences) = (0, 0);
    for finished in runner {
        if let Finished::Embeddings { rows, .. } = finished? {
            sequences += rows.len() as u64;
            tokens += rows.iter().map(|row| row.length + 2).sum::<u64>();
        }
    }
    Ok((tokens, sequences))
}

/// A layer's products with random weights.
struct Products<'a, B: Backend> {
    backend: &'a B,
    config: &'a Esm2Config,
    weights: Vec<B::Matrix>,
    packed: B::Packed,
    x: B::Tensor,
    tokens: usize,
}

impl<'a, B: Backend> Products<'a, B> {
    fn new(backend: &'a B, config: &'a Esm2Config, tokens: usize) -> Result<Self, Error> {
        let random = RandomTensors { seed: 3 };
        let matrix = |name: &str, [rows, columns]: [usize; 2]| -> Result<B::Matrix, Error> {
            Ok(backend.matrix(rows, columns, random.read(name, &[rows, columns])?)?)
        };
        let names = ["qkv", "output", "up", "down"].into_iter().zip(config.products());
        let weights = names.map(|(name, shape)| matrix(name, shape)).collect::<Result<_, _>>()?;
        let ids: Vec<u16> = (0..tokens).map(|i| 4 + (i % 20) as u16).collect();
        let packed = backend.packed(&ids, &[0, tokens as i32], tokens)?;
        let x = backend.embed(&matrix("table", [config.vocab, config.hidden])?, &packed, None)?;
        Ok(Products { backend, config, weights, packed, x, tokens })
    }

    fn layer(&self) -> Result<(), DeviceError> {
        let [qkv, output, up, down] = &self.weights[..] else { unreachable!("four products") };
        self.backend.linear(&self.x, qkv, None)?;
        self.backend.linear(&self.x, output, None)?;
        let h = self.backend.linear(&self.x, up, None)?;
        self.backend.linear(&h, down, None)?;
        Ok(())
    }

    fn wait(&self) -> Result<(), DeviceError> {
        let none = PoolSpan { skip_first: 0, skip_last: 0 };
        let pending = self.backend.pool(&self.x, &self.packed, Pool::Cls, none)?;
        self.backend.wait(pending).map(|_| ())
    }

    /// Tokens a second if the model were these alone.
    fn run(&self, time: Duration) -> Result<f64, Error> {
        self.layer()?;
        self.wait()?;
        let begin = Instant::now();
        let mut layers = 0;
        while begin.elapsed() < time {
            // As many as one model has, so that waiting weighs as little as there.
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
    fn a_small_model_on_the_cpu() {
        let options = BenchOptions {
            config: Esm2Config::published(2, 32, 2),
            load: Load::Reads,
            token_budget: Some(1_024),
            time: Duration::from_millis(50),
            rounds: 2,
        };
        let mut phases = Vec::new();
        let cpu = Arc::new(Cpu::new(None).unwrap());
        let report = bench(cpu, &options, |phase| phases.push(phase)).unwrap();
        use Phase::{Ceiling, End, Model, WarmUp};
        assert_eq!(phases, [WarmUp, Model, Ceiling, Model, Ceiling, End]);
        let mean = report.mean();
        assert!(mean.tokens_per_second > 0.0 && mean.tokens_per_second < mean.ceiling, "{mean:?}");
        assert!((50.0..53.0).contains(&(mean.tokens_per_second / mean.sequences_per_second)), "{mean:?}");
    }
}
