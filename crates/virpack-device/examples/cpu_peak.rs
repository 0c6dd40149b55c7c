//! How fast the processor's cores multiply and add float32 values in registers, by threads: what products
//! could reach.
//!
//! ```text
//! cargo run --release -p virpack-device --example cpu_peak -- [threads] [seconds]
//! ```
//!
//! No memory is read, so that a share of linear below 1 is due to the machine alone: to threads that share a
//! core, or to cores that slow down where many of them work.

use pulp::{Arch, Simd, WithSimd};
use std::hint::black_box;
use std::time::Instant;

/// Sums in registers: enough to hide the latency of an instruction.
const SUMS: usize = 16;

/// Rounds between two readings of the clock.
const ROUNDS: usize = 200_000;

struct MultiplyAdd;

impl WithSimd for MultiplyAdd {
    /// Operations that were done.
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (factor, term) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(1.0)));
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        black_box(sums.map(|sum| simd.reduce_sum_f32s(sum)));
        (2 * SUMS * ROUNDS * size_of::<S::f32s>() / size_of::<f32>()) as f64
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let threads = arguments.first().map_or("1,2", String::as_str);
    let seconds: f64 = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let mut alone = 0.0;
    for threads in threads.split(',').filter_map(|count| count.parse::<usize>().ok()) {
        let begun = Instant::now();
        let work = || {
            let mut done = 0.0;
            while begun.elapsed().as_secs_f64() < seconds {
                done += Arch::new().dispatch(MultiplyAdd);
            }
            done
        };
        let done: f64 = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
        });
        let rate = done / begun.elapsed().as_secs_f64() / 1e9;
        if alone == 0.0 {
            alone = rate / threads as f64;
        }
        println!("{threads:3} threads {rate:9.0} GFLOP/s, {:.2} of linear", rate / alone / threads as f64);
    }
}
