//! Products alone and with what is around them, on one NVIDIA GPU: the library's, the library's and a pass of its own for
//! what follows, the fused one, that one after a layer norm, and the one that the norm is folded into, in turns, for the
//! shapes of ESM-2; and queries, keys and values with what follows them.
//!
//! ```text
//! cargo run --release -p virpack-device --example product_bench -- [f16|bf16|int8|f32|f32-strict] [tokens]
//! [seconds] [hidden]
//! ```

use std::error::Error;
use std::time::{Duration, Instant};
use virpack_device::{
    Attention, Backend, Cuda, CudaOptions, DeviceError, Dtype, Epilogue, LayerNorm, Linear, LinearOf,
    rotary_frequencies,
};

/// Hidden width and attention heads of 8M, 35M, 150M, 650M and 3B.
const SIZES: [(usize, usize); 5] = [(320, 20), (480, 20), (640, 20), (1280, 20), (2560, 40)];

/// Turns that each way takes.
const ROUNDS: usize = 3;

/// Residues of a sequence and its special tokens.
const LENGTH: usize = 167;

/// xorshift, to (-1, 1).
fn random(count: usize, scale: f32) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / 8_388_608.0 - 1.0) * scale
    };
    (0..count).map(|_| next()).collect()
}

type Way<'a> = (&'a str, Box<dyn Fn() -> Result<(), DeviceError> + 'a>);

/// Microseconds a call of each way, the least of its turns.
fn measure(cuda: &Cuda, ways: &[Way], time: Duration) -> Result<Vec<f64>, DeviceError> {
    let mut best = vec![f64::INFINITY; ways.len()];
    for _ in 0..ROUNDS {
        for ((_, run), best) in ways.iter().zip(&mut best) {
            (0..3).try_for_each(|_| run())?;
            cuda.synchronize()?;
            let (begin, mut calls) = (Instant::now(), 0);
            while begin.elapsed() < time {
                (0..20).try_for_each(|_| run())?;
                cuda.synchronize()?;
                calls += 20;
            }
            *best = best.min(begin.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
        }
    }
    Ok(best)
}

fn print(name: &str, operations: usize, ways: &[Way], times: &[f64]) {
    let column = |((way, _), time): (&Way, &f64)| {
        format!("{way} {time:.1} us ({:.0} TFLOP/s)", operations as f64 / time / 1e6)
    };
    println!("{name}: {}", ways.iter().zip(times).map(column).collect::<Vec<_>>().join(", "));
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, otherwise: &str| arguments.get(i).cloned().unwrap_or(otherwise.to_owned());
    let dtype = match argument(0, "f16").as_str() {
        "f32" => Dtype::F32,
        "f32-strict" => Dtype::F32Strict,
        "bf16" => Dtype::Bf16,
        "int8" => Dtype::Int8,
        _ => Dtype::F16,
    };
    let tokens: usize = argument(1, "32768").parse()?;
    let time = Duration::from_secs_f64(argument(2, "0.3").parse()?);
    let cuda = Cuda::new(0, CudaOptions::new(dtype))?;
    println!("{} {dtype:?}, {tokens} tokens", cuda.name());
    let ids: Vec<u16> = (0..tokens).map(|i| (i * 7 % 4096) as u16).collect();
    let mut cu_seqlens: Vec<i32> = (0..tokens).step_by(LENGTH).map(|start| start as i32).collect();
    cu_seqlens.push(tokens as i32);
    let packed = cuda.packed(&ids, &cu_seqlens, LENGTH)?;
    let only = arguments.get(3).map(|hidden| hidden.parse::<usize>()).transpose()?;
    for (hidden, heads) in SIZES.into_iter().filter(|size| only.is_none_or(|only| only == size.0)) {
        let spread = (3.0 / hidden as f32).sqrt();
        let table = cuda.table(4096, hidden, random(4096 * hidden, 1.7))?;
        let embed = || cuda.embed(&table, &packed, None);
        // Where products read another form than rows have, a model gives them that.
        let (x, input) = (embed()?, cuda.for_products(embed()?)?);
        let norm = LayerNorm { weight: random(hidden, 1.0), bias: random(hidden, 1.0), eps: 1e-5 };
        let layer = |outputs: usize, normed: bool, rotated_heads: Option<usize>| {
            let norm = normed.then(|| norm.clone());
            let (weight, bias) = (random(outputs * hidden, spread), Some(random(outputs, 1.0)));
            cuda.linear_layer([outputs, hidden], Linear { norm, weight, bias }, rotated_heads)
        };
        let (up, qkv) = (layer(4 * hidden, false, None)?, layer(3 * hidden, false, None)?);
        let (normed_up, normed_qkv) = (layer(4 * hidden, true, None)?, layer(3 * hidden, true, Some(heads))?);
        let frequencies = rotary_frequencies(hidden / heads);
        let attention = Attention { heads, rotary_frequencies: frequencies, alibi_slopes: None };
        let product = |layer: &LinearOf<Cuda>| cuda.product(&input, &layer.weight, layer.bias.as_ref());
        let gelu = |x: &_, layer: &_| cuda.linear(x, layer, Epilogue::Gelu).map(drop);
        let device_norm = norm.clone().upload(&cuda)?;
        let normed = || cuda.layer_norm(&x, &device_norm);
        let ways: [Way; 5] = [
            ("product", Box::new(|| product(&up).map(drop))),
            ("product, gelu", Box::new(|| cuda.gelu(product(&up)?).map(drop))),
            ("linear with gelu", Box::new(|| gelu(&input, &up))),
            ("layer_norm, linear with gelu", Box::new(|| gelu(&normed()?, &up))),
            ("normed linear with gelu", Box::new(|| gelu(&x, &normed_up))),
        ];
        let name = format!("{hidden} -> {}", 4 * hidden);
        print(&name, 8 * tokens * hidden * hidden, &ways, &measure(&cuda, &ways, time)?);
        let attend = |x: &_, layer: &_| cuda.self_attention(x, layer, &packed, &attention).map(drop);
        let ways: [Way; 4] = [
            ("product", Box::new(|| product(&qkv).map(drop))),
            ("product, rotary", Box::new(|| cuda.rotary(product(&qkv)?, &packed, &attention).map(drop))),
            ("layer_norm, self_attention", Box::new(|| attend(&normed()?, &qkv))),
            ("normed self_attention", Box::new(|| attend(&x, &normed_qkv))),
        ];
        let name = format!("{hidden} -> {}", 3 * hidden);
        print(&name, 6 * tokens * hidden * hidden, &ways, &measure(&cuda, &ways, time)?);
    }
    Ok(())
}
