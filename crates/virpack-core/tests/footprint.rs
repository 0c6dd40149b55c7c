//! Compares the predicted memory of a model on the CPU with the measured one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![cfg(target_os = "linux")]

use std::num::NonZeroUsize;
use std::process::Command;

use virpack_core::device::{Backend, Cpu, Device, ModelShape, Pool};
use virpack_core::memory;
use virpack_core::model::{
    CodonConv, CodonConvConfig, DnabertConfig, DnabertS, Encoder, Esm2, Esm2Config, RandomTensors,
};
use virpack_seq::{BudgetLimits, calculate_token_budget};

/// Residues and special tokens of each sequence of a batch.
const LENGTH: usize = 512;
const THREADS: usize = 2;
/// Set for the child: the kind of model, its precision, layers, width, heads, and tokens of a batch.
const SHAPE: &str = "VIRPACK_TEST_SHAPE";

/// A model of a given size.
enum Config {
    Esm2(Esm2Config),
    DnabertS(DnabertConfig),
    CodonConv(CodonConvConfig),
}

impl Config {
    fn new(kind: &str, layers: usize, hidden: usize, heads: usize) -> Self {
        match kind {
            "esm2" => Config::Esm2(Esm2Config::published(layers, hidden, heads)),
            "codon_conv" => Config::CodonConv(CodonConvConfig {
                layers,
                hidden,
                intermediate: hidden,
                embedding_window: 9,
                window: 5,
                vocab: 89,
                layer_norm_eps: 1e-5,
            }),
            _ => {
                let intermediate = 4 * hidden;
                Config::DnabertS(DnabertConfig {
                    layers,
                    hidden,
                    heads,
                    intermediate,
                    ..DnabertConfig::published()
                })
            }
        }
    }

    fn shape(&self) -> ModelShape {
        match self {
            Config::Esm2(config) => config.shape(),
            Config::DnabertS(config) => config.shape(),
            Config::CodonConv(config) => config.shape(),
        }
    }

    fn build(self, cpu: &Cpu) -> Box<dyn Encoder<Cpu>> {
        let tensors = RandomTensors { seed: 7 };
        match self {
            Config::Esm2(config) => Box::new(Esm2::build(cpu, config, &tensors).unwrap()),
            Config::DnabertS(config) => Box::new(DnabertS::build(cpu, config, &tensors).unwrap()),
            Config::CodonConv(config) => Box::new(CodonConv::build(cpu, config, &tensors).unwrap()),
        }
    }
}

/// The CPU in float32 (`f32`) or bfloat16.
fn cpu(precision: &str) -> Cpu {
    let threads = NonZeroUsize::new(THREADS);
    if precision == "f32" { Cpu::new(threads).unwrap() } else { Cpu::bf16(threads).unwrap() }
}

/// Returns the peak resident set of this process, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Not a test of its own: the child process of the others runs it.
#[test]
fn child() {
    let Ok(shape) = std::env::var(SHAPE) else { return };
    let (kind, shape) = shape.split_once(' ').unwrap();
    let (precision, shape) = shape.split_once(' ').unwrap();
    let shape: Vec<usize> = shape.split(' ').map(|n| n.parse().unwrap()).collect();
    let config = Config::new(kind, shape[0], shape[1], shape[2]);
    let baseline = peak();
    let cpu = cpu(precision);
    let model = config.build(&cpu);
    let ids: Vec<u16> = (0..shape[3]).map(|i| 4 + (i % 20) as u16).collect();
    let cu_seqlens: Vec<i32> = (0..=shape[3] / LENGTH).map(|i| (i * LENGTH) as i32).collect();
    // As the runner does, several times, because buffers are reused; all layers are equal, so a few of them
    // suffice.
    for _ in 0..2 {
        let packed = cpu.packed(&ids, &cu_seqlens, LENGTH).unwrap();
        let hidden = model.forward(&cpu, &packed, model.layers().min(3)).unwrap();
        let pooled = cpu.pool(&hidden, &packed, Pool::Mean, model.span()).unwrap();
        assert!(cpu.wait(pooled).unwrap().iter().all(|value| value.is_finite()));
    }
    println!("grown {} baseline {baseline}", peak() - baseline);
}

/// Returns the bytes by which a fresh process grows while it builds the model and runs batches; `shape` is
/// as in [`SHAPE`].
fn grown(shape: String) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(SHAPE, shape)
        .output()
        .unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{said}");
    let (_, after) = said.split_once("grown ").unwrap();
    after.split(' ').next().unwrap().parse().unwrap()
}

#[track_caller]
fn near_the_prediction(kind: &str, precision: &str, layers: usize, hidden: usize, tokens: usize) {
    let heads = if kind == "esm2" { 20 } else { 12 };
    let cpu = cpu(precision);
    let footprint = cpu.footprint(&Config::new(kind, layers, hidden, heads).shape(), LENGTH, false);
    let footprint = memory::footprint(footprint, 0);
    let sequences = tokens / LENGTH;
    let predicted = footprint.bytes(tokens as u64, sequences as u64);
    let grown = grown(format!("{kind} {precision} {layers} {hidden} {heads} {tokens}"));
    let ratio = grown as f64 / predicted as f64;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{kind} {precision}, {layers} x {hidden}, {tokens}: {:.1} MB predicted, {:.1} grown, {ratio:.3}",
        megabytes(predicted),
        megabytes(grown)
    );
    // In blocks of rows the widest tensor of an ESM-2 layer does not exist as a whole, one of six widths. The
    // prediction is for many threads too, for which a batch may have too few rows.
    let least = if (kind, precision) == ("esm2", "f32") { 5.0 / 6.0 } else { 0.9 };
    assert!((least..=1.1).contains(&ratio), "predicted {predicted}, grown {grown} bytes: {ratio:.3}");
    // The budget for this memory is this budget.
    let limits = BudgetLimits { min: 1_024, max: 1 << 20, shortest: LENGTH };
    assert_eq!(calculate_token_budget(predicted, &footprint, &limits).unwrap(), tokens);
}

#[test]
fn the_8m_shape_with_4096_tokens() {
    near_the_prediction("esm2", "f32", 6, 320, 4_096);
}

#[test]
fn the_8m_shape_with_16384_tokens() {
    near_the_prediction("esm2", "f32", 6, 320, 16_384);
}

#[test]
fn the_35m_shape_with_4096_tokens() {
    near_the_prediction("esm2", "f32", 12, 480, 4_096);
}

#[test]
fn the_35m_shape_with_16384_tokens() {
    near_the_prediction("esm2", "f32", 12, 480, 16_384);
}

/// Three layers as wide as those of the 650M model: the threads pack more of the weights there.
#[test]
fn the_650m_width_with_4096_tokens() {
    near_the_prediction("esm2", "f32", 3, 1_280, 4_096);
}

/// Two layers of DNABERT-S.
#[test]
fn the_dnabert_s_width_with_4096_tokens() {
    near_the_prediction("dnabert_s", "f32", 2, 768, 4_096);
}

#[test]
fn the_35m_shape_in_bfloat16() {
    near_the_prediction("esm2", "bf16", 12, 480, 4_096);
}

#[test]
fn the_650m_width_in_bfloat16() {
    near_the_prediction("esm2", "bf16", 3, 1_280, 2_048);
}

#[test]
fn the_dnabert_s_width_in_bfloat16() {
    near_the_prediction("dnabert_s", "bf16", 2, 768, 4_096);
}

/// The built-in codon model's layers, four times as wide. In float32 the windows' rows are read in place,
/// which the prediction does not know: it is an upper bound.
#[test]
fn a_codon_model_takes_no_more_than_predicted() {
    let (layers, hidden, tokens) = (2, 448, 16_384);
    let footprint =
        cpu("f32").footprint(&Config::new("codon_conv", layers, hidden, 12).shape(), LENGTH, false);
    let predicted = memory::footprint(footprint, 0).bytes(tokens as u64, (tokens / LENGTH) as u64);
    let grown = grown(format!("codon_conv f32 {layers} {hidden} 12 {tokens}"));
    assert!(grown <= predicted, "predicted {predicted}, grown {grown} bytes");
    assert!(3 * grown > predicted, "predicted {predicted}, grown {grown} bytes: a batch was computed");
}

#[test]
fn a_codon_model_in_bfloat16() {
    near_the_prediction("codon_conv", "bf16", 2, 448, 16_384);
}
