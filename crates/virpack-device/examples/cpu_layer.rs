//! One layer of an ESM-2 on the CPU in float32 and in bfloat16: how fast it is, and where its time goes.
//!
//! ```text
//! cargo run --release -p virpack-device --example cpu_layer -- \
//!     [hidden,heads] [lengths] [threads] [seconds] [name] [tokens]
//! ```
//!
//! 4,096 tokens in sequences of these lengths, random weights. A line each for float32, for float32 with
//! weights that 16 bits hold exactly, and for every way that the machine has to multiply bfloat16 values.
//! With a name, only for those whose line has it. The layer's rows are its own input again, as a model's
//! layers follow each other. Each time is the median over the runs.

use std::num::NonZeroUsize;
use std::time::Instant;
use virpack_device::{
    Attention, Backend, Bf16Instructions, Cpu, CpuTensor, Device, DeviceError, Epilogue, LayerNorm, Linear,
    LinearOf, rotary_frequencies,
};

/// A layer, and the rows that it begins with.
struct Layer {
    qkv: LinearOf<Cpu>,
    output: LinearOf<Cpu>,
    up: LinearOf<Cpu>,
    down: LinearOf<Cpu>,
    attention: Attention<Vec<f32>>,
    x: Vec<f32>,
}

impl Layer {
    /// A layer of random weights; with `halves` they are rounded to 16 bits.
    fn new(
        cpu: &Cpu,
        [hidden, heads]: [usize; 2],
        tokens: usize,
        halves: bool,
    ) -> Result<Layer, DeviceError> {
        let bits = if halves { 0xffff_0000 } else { u32::MAX };
        let mut state = 1u32;
        let mut random = |count: usize, spread: f32| -> Vec<f32> {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f32::from_bits((((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * spread).to_bits() & bits)
            };
            (0..count).map(|_| next()).collect()
        };
        let mut linear = |outputs: usize, inputs: usize, normed: bool| {
            let norm = LayerNorm { weight: vec![1.0; inputs], bias: vec![0.0; inputs], eps: 1e-5 };
            let weight = random(outputs * inputs, (3.0 / inputs as f32).sqrt());
            let layer = Linear { norm: normed.then_some(norm), weight, bias: Some(vec![0.0; outputs]) };
            cpu.linear_layer([outputs, inputs], layer, None)
        };
        Ok(Layer {
            qkv: linear(3 * hidden, hidden, true)?,
            output: linear(hidden, hidden, false)?,
            up: linear(4 * hidden, hidden, true)?,
            down: linear(hidden, 4 * hidden, false)?,
            attention: Attention {
                heads,
                rotary_frequencies: rotary_frequencies(hidden / heads),
                alibi_slopes: None,
            },
            x: random(tokens * hidden, 1.0),
        })
    }

    fn forward(
        &self,
        cpu: &Cpu,
        packed: &<Cpu as Backend>::Packed,
        x: CpuTensor,
    ) -> Result<CpuTensor, DeviceError> {
        let h = cpu.self_attention(&x, &self.qkv, packed, &self.attention)?;
        let x = cpu.linear(&h, &self.output, Epilogue::Add(x))?;
        cpu.feed_forward(x, &self.up, &self.down)
    }
}

fn main() -> Result<(), DeviceError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers = |place: usize, default: &str| -> Vec<usize> {
        let text = arguments.get(place).map_or(default, String::as_str);
        text.split(',').filter_map(|number| number.parse().ok()).collect()
    };
    let (shape, lengths) = (numbers(0, "640,20"), numbers(1, "167"));
    let seconds: f64 = arguments.get(3).and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let tokens = arguments.get(5).and_then(|text| text.parse().ok()).unwrap_or(4_096);
    let mut cu_seqlens = vec![0i32];
    for length in lengths.iter().cycle() {
        let first = cu_seqlens[cu_seqlens.len() - 1];
        cu_seqlens.push((first + *length as i32).min(tokens as i32));
        if cu_seqlens[cu_seqlens.len() - 1] == tokens as i32 {
            break;
        }
    }
    for threads in numbers(2, "1,2") {
        let threads = NonZeroUsize::new(threads);
        let ways = Bf16Instructions::available().into_iter();
        let bf16 = ways.map(|way| Cpu::bf16_by(threads, way)).collect::<Result<Vec<_>, _>>()?;
        let float32 = [(Cpu::new(threads)?, false), (Cpu::new(threads)?, true)];
        for (cpu, halves) in float32.into_iter().chain(bf16.into_iter().map(|cpu| (cpu, false))) {
            let name = if halves { format!("{}, weights in 16 bits", cpu.name()) } else { cpu.name() };
            if arguments.get(4).is_some_and(|part| !name.contains(part)) {
                continue;
            }
            let layer = Layer::new(&cpu, [shape[0], shape[1]], tokens, halves)?;
            let packed =
                cpu.packed(&vec![5; tokens], &cu_seqlens, lengths.iter().copied().max().unwrap_or(1))?;
            let mut x = layer.forward(&cpu, &packed, cpu.tensor(tokens, shape[0], &layer.x)?)?;
            let (begun, mut runs) = (Instant::now(), Vec::new());
            while runs.is_empty() || begun.elapsed().as_secs_f64() < seconds {
                let (before, run) = (cpu.work().unwrap_or_default(), Instant::now());
                x = layer.forward(&cpu, &packed, x)?;
                let (all, after) = (run.elapsed(), cpu.work().unwrap_or_default());
                runs.push([
                    after.products - before.products,
                    after.attention - before.attention,
                    after.rest - before.rest,
                    all,
                ]);
            }
            let [products, attention, rest, all] = [0, 1, 2, 3].map(|part| {
                let mut times: Vec<f64> = runs.iter().map(|run| run[part].as_secs_f64()).collect();
                times.sort_by(f64::total_cmp);
                1e3 * times[times.len() / 2]
            });
            println!(
                "{name:48} {:>9.0} tokens/s a layer; ms: {products:.2} products, {attention:.2} attention, \
                 {rest:.2} rest, {all:.2} all",
                1e3 * tokens as f64 / all,
            );
        }
    }
    Ok(())
}
