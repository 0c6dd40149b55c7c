//! ESM-2 on one NVIDIA GPU with random weights of the real shapes: packed batches in memory to mean embeddings on the host.
//!
//! ```text
//! cargo run --release -p virpack --example cuda_bench -- SIZE[,SIZE…] LOAD[,LOAD…] [f16|bf16|f32] [token budget] [seconds]
//! ```
//!
//! Sizes are the published ones (`8M 35M 150M 650M 3B`), loads those of `esm2_gpu.py`: `orf` (165-166 residues), `prot`
//! (log-normal like UniProt, at most 1,022) and `reads` (49-50). The ceiling is the model's matrix products alone, by
//! the same library on the same tokens, right after the model: a card under sustained load clocks lower than in a burst.

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, Instant};
use virpack::memory::Memory;
use virpack::model::Encoder;
use virpack::model::config::Esm2Config;
use virpack::model::esm2::{Esm2, shape};
use virpack::model::published::PUBLISHED;
use virpack::model::source::RandomTensors;
use virpack_device::{Backend, Cuda, CudaOptions, DeviceError, Dtype, Pool};
use virpack_seq::{GreedyPacker, PackerOptions};

/// Batches given to the card before the first one's results are waited for.
const IN_FLIGHT: usize = 2;

struct Batch {
    input_ids: Vec<u16>,
    cu_seqlens: Vec<i32>,
    longest: usize,
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Residues of one sequence of a load.
    fn residues(&mut self, load: &str) -> usize {
        match load {
            "orf" => 165 + usize::from(self.unit() < 0.34),
            "reads" => 49 + usize::from(self.unit() >= 0.34),
            _ => {
                let (u, v) = (self.unit().max(1e-300), self.unit());
                let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
                ((5.5 + 0.65 * normal).exp() as usize).clamp(30, 1022)
            }
        }
    }
}

fn batches(load: &str, tokens: usize, budget: usize) -> Result<Vec<Batch>, Box<dyn Error>> {
    let mut random = Random(7);
    let mut lengths = Vec::new();
    let mut total = 0;
    while total < tokens {
        let length = random.residues(load) + 2;
        total += length;
        lengths.push(length as u32);
    }
    let packing = GreedyPacker::new(PackerOptions::new(budget, 1024))?.pack(&lengths)?;
    let batch = |members: &[u32]| {
        let mut batch = Batch { input_ids: Vec::new(), cu_seqlens: vec![0], longest: 0 };
        for &member in members {
            let length = lengths[member as usize] as usize;
            batch.input_ids.push(0);
            batch.input_ids.extend((2..length).map(|_| 4 + (random.next() % 20) as u16));
            batch.input_ids.push(2);
            batch.cu_seqlens.push(batch.input_ids.len() as i32);
            batch.longest = batch.longest.max(length);
        }
        batch
    };
    Ok(packing.iter().map(batch).collect())
}

/// Runs every batch over and over for at least `time`: (seconds, tokens, sequences).
fn run(
    cuda: &Cuda,
    model: &Esm2<Cuda>,
    batches: &[Batch],
    time: Duration,
) -> Result<(f64, usize, usize), DeviceError> {
    let layers = model.config().layers;
    let mut flying = VecDeque::new();
    let (mut tokens, mut sequences) = (0, 0);
    let begin = Instant::now();
    let mut i = 0;
    // Whole passes, at least one.
    while i == 0 || begin.elapsed() < time || i % batches.len() != 0 {
        let batch = &batches[i % batches.len()];
        i += 1;
        let packed = cuda.packed(&batch.input_ids, &batch.cu_seqlens, batch.longest)?;
        let x = model.forward(cuda, &packed, layers)?;
        flying.push_back(cuda.pool(&x, &packed, Pool::Mean, Encoder::<Cuda>::span(model))?);
        tokens += batch.input_ids.len();
        sequences += batch.cu_seqlens.len() - 1;
        if flying.len() > IN_FLIGHT {
            cuda.wait(flying.pop_front().expect("more than IN_FLIGHT are there"))?;
        }
    }
    for pending in flying {
        cuda.wait(pending)?;
    }
    Ok((begin.elapsed().as_secs_f64(), tokens, sequences))
}

/// Tokens a second if a model of this shape were its matrix products alone.
fn ceiling(cuda: &Cuda, config: &Esm2Config, budget: usize, time: Duration) -> Result<f64, DeviceError> {
    let (d, inner) = (config.hidden, config.intermediate);
    let mut random = Random(3);
    let mut weight = |rows: usize, columns: usize| {
        let values = (0..rows * columns).map(|_| (random.unit() as f32 - 0.5) * 0.05).collect();
        cuda.matrix(rows, columns, values)
    };
    let (table, qkv, out) = (weight(33, d)?, weight(3 * d, d)?, weight(d, d)?);
    let (up, down) = (weight(inner, d)?, weight(d, inner)?);
    let ids: Vec<u16> = (0..budget).map(|i| (i % 33) as u16).collect();
    let packed = cuda.packed(&ids, &[0, budget as i32], budget)?;
    let x = cuda.embed(&table, &packed, None)?;
    let layer = || {
        cuda.linear(&x, &qkv, None)?;
        cuda.linear(&x, &out, None)?;
        let h = cuda.linear(&x, &up, None)?;
        cuda.linear(&h, &down, None)
    };
    layer()?;
    cuda.synchronize()?;
    let begin = Instant::now();
    let mut layers = 0;
    while begin.elapsed() < time {
        (0..20).try_for_each(|_| layer().map(|_| ()))?;
        cuda.synchronize()?;
        layers += 20;
    }
    Ok((budget * layers) as f64 / config.layers as f64 / begin.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, otherwise: &str| arguments.get(i).cloned().unwrap_or(otherwise.to_owned());
    let dtype = match argument(2, "f16").as_str() {
        "f32" => Dtype::F32,
        "bf16" => Dtype::Bf16,
        _ => Dtype::F16,
    };
    let budget: usize = argument(3, "32768").parse()?;
    let time = Duration::from_secs_f64(argument(4, "3").parse()?);
    for size in argument(0, "650M").split(',') {
        let names = |p: &&virpack::model::published::Published| p.name.contains(&format!("_{size}_"));
        let published = PUBLISHED.iter().find(names).ok_or("no such size")?;
        let config = published.config();
        let cuda = Cuda::new(0, CudaOptions { dtype })?;
        let begin = Instant::now();
        let model = Esm2::build(&cuda, config.clone(), &RandomTensors { seed: 1 })?;
        let built = begin.elapsed().as_secs_f64();
        let model_shape = shape(&config);
        Memory::reserve(&cuda, &model_shape, budget, budget / 16, false)?;
        println!("{size} on {}, {dtype:?}, budget {budget}: built in {built:.1} s", cuda.name());
        for load in argument(1, "orf").split(',') {
            let batches = batches(load, 12 * budget, budget)?;
            let begin = Instant::now();
            // Kernels are loaded and algorithms measured here, once a process.
            run(&cuda, &model, &batches, Duration::ZERO)?;
            let first = begin.elapsed().as_secs_f64();
            let (seconds, tokens, sequences) = run(&cuda, &model, &batches, time)?;
            let ceiling = ceiling(&cuda, &config, budget, time)?;
            let (again, tokens_again, _) = run(&cuda, &model, &batches, time)?;
            let rate = (tokens + tokens_again) as f64 / (seconds + again);
            println!(
                "{size:5} {load:5} {rate:12.0} tok/s ({:.0} then {:.0}) {:10.0} seq/s {:6.1} % of ceiling {ceiling:.0}; first pass {first:.2} s, arena {:?}",
                tokens as f64 / seconds,
                tokens_again as f64 / again,
                sequences as f64 / seconds,
                100.0 * rate / ceiling,
                cuda.arena_usage(),
            );
        }
    }
    Ok(())
}
