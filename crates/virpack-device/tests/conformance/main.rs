//! One body of checks for every backend, against plain float64 arithmetic in `reference.rs`: a test for each
//! theme and backend, `cuda_f16::attention`, so that one failure does not hide the others.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod attention;
mod batches;
mod norms;
mod products;
mod reference;
mod rows;
mod self_attention;
mod windows;

use reference::Precision;
use std::num::NonZeroUsize;
use std::sync::{Mutex, OnceLock, PoisonError};
use virpack_device::{
    Bf16Instructions, Cpu, Cuda, CudaOptions, Device, DeviceError, Dtype, Remedy, Unavailable,
};

/// A module of tests for a backend, one for each theme: `$on` gives the backend to a check.
macro_rules! tests_of {
    ($backend:ident, $on:ident($which:expr): $($file:ident::$theme:ident)+) => {
        mod $backend {
            $(
                #[test]
                fn $theme() {
                    crate::$on($which, |backend, precision| crate::$file::$theme(backend, precision));
                }
            )+
        }
    };
}

/// The themes that every backend is tested in.
macro_rules! conformance {
    ($backend:ident, $on:ident($which:expr) $(, and $($file:ident::$theme:ident)+)?) => {
        tests_of! {
            $backend, $on($which):
            rows::embed
            rows::element_wise
            rows::pools
            products::products
            products::feed_forward
            norms::normed
            norms::broken_rows_are_normed_alone
            attention::attention
            attention::long_attention
            attention::attention_at_every_edge
            attention::attention_with_large_scores
            attention::broken_neighbours_change_nothing
            self_attention::self_attention
            self_attention::packed_equals_alone
            windows::embed_window
            windows::unfold
            windows::window_linear
            windows::a_window_sees_its_sequence_alone
            $($($file::$theme)+)?
        }
    };
}

conformance!(cpu, on_cpus([1, 2, 5]));
conformance!(
    cpu_bf16_amx,
    on_bf16_cpus(virpack_device::Bf16Instructions::Amx),
    and self_attention::packed_bits_are_alone_bits
);
conformance!(
    cpu_bf16_avx512,
    on_bf16_cpus(virpack_device::Bf16Instructions::Avx512),
    and self_attention::packed_bits_are_alone_bits
);
conformance!(
    cpu_bf16_neon,
    on_bf16_cpus(virpack_device::Bf16Instructions::Neon),
    and self_attention::packed_bits_are_alone_bits
);
conformance!(
    cpu_bf16_widened,
    on_bf16_cpus(virpack_device::Bf16Instructions::Widened),
    and self_attention::packed_bits_are_alone_bits
);
conformance!(cuda_f32, on_card(virpack_device::Dtype::F32), and rows::broken_rows_are_reported);
conformance!(cuda_f32_strict, on_card(virpack_device::Dtype::F32Strict), and rows::broken_rows_are_reported);
conformance!(
    cuda_f16,
    on_card(virpack_device::Dtype::F16),
    and rows::broken_rows_are_reported attention::attention_of_models
);
conformance!(
    cuda_bf16,
    on_card(virpack_device::Dtype::Bf16),
    and rows::broken_rows_are_reported attention::attention_of_models
);

conformance!(
    cuda_int8,
    on_card(virpack_device::Dtype::Int8),
    and rows::broken_rows_are_reported attention::attention_of_models
);

/// Runs `check` on CPU backends of these numbers of threads.
fn on_cpus(threads: [usize; 3], check: impl Fn(&Cpu, Precision)) {
    for threads in threads {
        check(&Cpu::new(NonZeroUsize::new(threads)).unwrap(), Precision::F32);
    }
}

/// Runs `check` on CPU backends of some numbers of threads in bfloat16. Where the machine lacks the
/// instructions it is skipped.
fn on_bf16_cpus(instructions: Bf16Instructions, check: impl Fn(&Cpu, Precision)) {
    for threads in [2, 5] {
        match Cpu::bf16_by(NonZeroUsize::new(threads), instructions) {
            Ok(cpu) => {
                println!("{}", cpu.name());
                check(&cpu, Precision::BF16);
            }
            Err(DeviceError::Instructions { .. }) => {
                return println!("SKIPPED, this machine has no {instructions}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A card, or why there is none.
type Card = OnceLock<Result<Mutex<Cuda>, Unavailable>>;

/// Runs `check` on the card in `dtype`, one check at a time. Without a card it is skipped, or fails where
/// `VIRPACK_REQUIRE_CUDA` is 1.
fn on_card(dtype: Dtype, check: impl FnOnce(&Cuda, Precision)) {
    static CARDS: [Card; 5] = [const { OnceLock::new() }; 5];
    let (place, precision) = match dtype {
        Dtype::F32 => (0, Precision::F32),
        Dtype::F32Strict => (1, Precision::F32),
        Dtype::F16 => (2, Precision::F16),
        Dtype::Bf16 => (3, Precision::BF16),
        Dtype::Int8 => (4, Precision::INT8),
    };
    match CARDS[place].get_or_init(|| Cuda::new(0, CudaOptions::new(dtype)).map(Mutex::new)) {
        Ok(cuda) => {
            let cuda = cuda.lock().unwrap_or_else(PoisonError::into_inner);
            println!("{dtype} on {}", cuda.name());
            check(&cuda, precision);
        }
        Err(unavailable) if unavailable.remedy == Remedy::ChangeDtype => println!("SKIPPED: {unavailable}"),
        Err(unavailable) if is_required(std::env::var_os("VIRPACK_REQUIRE_CUDA")) => {
            panic!("VIRPACK_REQUIRE_CUDA is set, and there is no card: {unavailable}")
        }
        Err(unavailable) => println!("SKIPPED, no card: {unavailable}"),
    }
}

/// Whether a variable of the environment asks for a card.
fn is_required(variable: Option<std::ffi::OsString>) -> bool {
    variable.is_some_and(|value| value == "1")
}

/// Runs a test of this file again, in a process that asks for a card.
#[test]
fn a_card_that_is_required_and_missing_is_a_failure() {
    if Cuda::count().is_ok_and(|cards| cards > 0) {
        return println!("SKIPPED, there is a card");
    }
    let run = |required: &str| {
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "cuda_f16::embed", "--nocapture"]).env("VIRPACK_REQUIRE_CUDA", required);
        test.output().unwrap().status.success()
    };
    assert!(run("0") && !run("1"));
}

#[test]
fn kernels_compile_for_every_card() {
    // The last one is what a newer card's driver translates (`VIRPACK_CUDA_ARCH`).
    for architecture in ["sm_75", "sm_80", "sm_89", "sm_90a", "compute_75"] {
        match Cuda::compile_kernels(architecture).unwrap() {
            Ok(count) => println!("{count} sources compiled for {architecture}"),
            Err(unavailable) => return println!("SKIPPED, no compiler: {unavailable}"),
        }
    }
}
