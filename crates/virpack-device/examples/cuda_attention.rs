//! Attention alone on one NVIDIA GPU: µs for 32,768 tokens and 20 heads, and the share of the floor, which is reading
//! queries, keys and values once and writing the result once at 4.1 TB/s.
//!
//! ```text
//! cargo run --release -p virpack-device --example cuda_attention -- [f16|bf16] [width,…] [load,…]
//! ```
//!
//! Queries and keys have their positions turned already. Loads are those of `virpack bench`, and `1022`: nothing but
//! sequences of 1,024 tokens. Three sets of tensors take turns, so that the card's cache holds none of them.

use std::error::Error;
use std::time::Instant;
use virpack_device::{Attention, Backend, Cuda, CudaOptions, DeviceError, Dtype, rotary_frequencies};

const TOKENS: usize = 32_768;
const HEADS: usize = 20;
const BYTES_A_MICROSECOND: f64 = 4.1e6;
const LAUNCHES: usize = 60;

/// splitmix64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Tokens of one sequence of a load.
    fn tokens(&mut self, load: &str) -> usize {
        match load {
            "orf" => 167 + usize::from(self.unit() < 0.34),
            "reads" => 51 + usize::from(self.unit() >= 0.34),
            "1022" => 1024,
            _ => {
                let (u, v) = (self.unit().max(1e-300), self.unit());
                let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
                ((5.5 + 0.65 * normal).exp() as usize).clamp(30, 1022) + 2
            }
        }
    }
}

/// Boundaries of a batch of at most `TOKENS` tokens.
fn boundaries(load: &str) -> Vec<i32> {
    let mut random = Random(7);
    let mut all = vec![0];
    loop {
        let next = all[all.len() - 1] + random.tokens(load) as i32;
        if next as usize > TOKENS {
            return all;
        }
        all.push(next);
    }
}

/// The median of five runs of `LAUNCHES`, µs a launch.
fn microseconds(
    cuda: &Cuda,
    mut launch: impl FnMut(usize) -> Result<(), DeviceError>,
) -> Result<f64, DeviceError> {
    let mut times = Vec::new();
    for _ in 0..6 {
        let begin = Instant::now();
        (0..LAUNCHES).try_for_each(&mut launch)?;
        cuda.synchronize()?;
        times.push(begin.elapsed().as_secs_f64() * 1e6 / LAUNCHES as f64);
    }
    // The first run compiles and loads.
    times.remove(0);
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, otherwise: &str| arguments.get(i).cloned().unwrap_or(otherwise.to_owned());
    let dtype = if argument(0, "f16") == "bf16" { Dtype::Bf16 } else { Dtype::F16 };
    let cuda = Cuda::new(0, CudaOptions::new(dtype))?;
    println!("{}, {dtype:?}, {TOKENS} tokens, {HEADS} heads: µs (share of the floor)", cuda.name());
    for width in argument(1, "16,32,64,128").split(',') {
        let width: usize = width.parse()?;
        let hidden = HEADS * width;
        let mut random = Random(1);
        let values = (0..1024 * 3 * hidden).map(|_| random.unit() as f32 * 4.0 - 2.0).collect();
        let table = cuda.table(1024, 3 * hidden, values)?;
        let attention =
            Attention { heads: HEADS, rotary_frequencies: rotary_frequencies(width), alibi_slopes: None };
        for load in argument(2, "orf,prot,reads,1022").split(',') {
            let cu_seqlens = boundaries(load);
            let tokens = cu_seqlens[cu_seqlens.len() - 1] as usize;
            let longest = cu_seqlens.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0) as usize;
            let ids: Vec<u16> = (0..tokens).map(|i| (i % 1024) as u16).collect();
            let packed = cuda.packed(&ids, &cu_seqlens, longest)?;
            let sets: Vec<_> = (0..3).map(|_| cuda.embed(&table, &packed, None)).collect::<Result<_, _>>()?;
            let turned =
                microseconds(&cuda, |i| cuda.attention(&sets[i % 3], &packed, &attention).map(drop))?;
            let floor = (tokens * hidden * 4 * dtype.bytes()) as f64 / BYTES_A_MICROSECOND;
            println!(
                "width {width:3} {load:5} {tokens:6} tokens {turned:7.1} ({:3.0} %)",
                100.0 * floor / turned,
            );
        }
    }
    Ok(())
}
