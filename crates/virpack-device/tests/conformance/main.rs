//! One body of checks for every backend, against plain float64 arithmetic in `reference.rs`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod attention;
mod batches;
mod norms;
mod products;
mod reference;
mod rows;
mod self_attention;

use attention::{
    attention, attention_at_every_edge, attention_of_models, attention_with_large_scores,
    broken_neighbours_change_nothing, long_attention,
};
use norms::norms;
use products::products;
use reference::Precision;
use rows::{broken_rows_are_reported, element_wise, embed, pools};
use self_attention::{packed_equals_alone, self_attention};
use virpack_device::{Backend, Cpu, Cuda, CudaOptions, Dtype};

fn conforms<B: Backend>(backend: &B, precision: Precision) {
    embed(backend, precision);
    products(backend, precision);
    norms(backend, precision);
    element_wise(backend, precision);
    attention(backend, precision);
    self_attention(backend, precision);
    long_attention(backend, precision);
    attention_at_every_edge(backend, precision);
    broken_neighbours_change_nothing(backend, precision);
    attention_with_large_scores(backend, precision);
    pools(backend, precision);
    packed_equals_alone(backend, precision);
}

#[test]
fn cpu() {
    for threads in [1, 2, 5] {
        conforms(&Cpu::new(std::num::NonZeroUsize::new(threads)).unwrap(), Precision::F32);
    }
}

/// Runs `check` on the card in every dtype, where there is one.
fn on_the_card(check: impl Fn(&Cuda, Precision)) {
    for (dtype, precision) in [
        (Dtype::F32, Precision::F32),
        (Dtype::F32Strict, Precision::F32),
        (Dtype::F16, Precision::F16),
        (Dtype::Bf16, Precision::BF16),
    ] {
        match Cuda::new(0, CudaOptions { dtype }) {
            Ok(cuda) => {
                println!("{dtype} on {}", cuda.name());
                check(&cuda, precision);
            }
            Err(unavailable) => return println!("SKIPPED, no card: {unavailable}"),
        }
    }
}

#[test]
fn cuda() {
    on_the_card(|cuda, precision| {
        conforms(cuda, precision);
        broken_rows_are_reported(cuda);
        if !cuda.options().dtype.is_float32() {
            attention_of_models(cuda, precision);
        }
    });
}

/// A part of `cuda`, for work on it.
#[test]
fn cuda_norms() {
    on_the_card(norms);
}

#[test]
fn kernels_compile_for_every_card() {
    for architecture in ["sm_80", "sm_89", "sm_90a"] {
        match virpack_device::cuda::compile_all(architecture).unwrap() {
            Ok(count) => println!("{count} sources compiled for {architecture}"),
            Err(unavailable) => return println!("SKIPPED, no compiler: {unavailable}"),
        }
    }
}
