//! The launchers: a file for each file of kernels, with the kernel's forms and arguments.

pub(super) mod attention;
mod attention_any;
mod attention_pairs;
pub(super) mod attention_ring;
pub(super) mod attention_whole;
pub(super) mod elementwise;
mod norm;
mod pairs;
mod pool;
mod product;
mod product_bytes;
mod product_pairs;
mod quantize;
mod rotary;
mod window;

use super::kernel_source::KernelSource;
use super::{Cuda, compile, libraries};
use crate::{DeviceError, Dtype, Unavailable};
use parking_lot::Mutex;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread;

/// Returns every source that a card of this architecture uses for activations of `dtype`.
fn sources(dtype: Dtype, architecture: &str) -> Vec<KernelSource> {
    let hopper = architecture == "sm_90a";
    let turing = architecture.ends_with("_75");
    if turing && dtype == Dtype::Bf16 {
        return Vec::new();
    }
    if dtype == Dtype::Int8 {
        // In addition to float16's own.
        let all = || quantize::sources().chain(product_bytes::sources()).collect();
        return if hopper { all() } else { Vec::new() };
    }
    let (float32, any) = (dtype.is_float32(), attention_any::source());
    let mut all =
        vec![elementwise::source(), norm::source(), pool::source(), rotary::source(), window::source(), any];
    if !float32 {
        all.extend(attention::sources(turing));
    }
    if hopper && float32 {
        all.push(pairs::source());
        all.extend(product_pairs::sources().chain(attention_pairs::sources()));
    }
    if hopper && !float32 {
        all.extend(attention_whole::sources().chain(attention_ring::sources()).chain(product::sources()));
    }
    all
}

impl Cuda {
    /// Compiles all kernels for an architecture, `sm_75` and newer, or to PTX that a driver translates
    /// (`compute_75`). Needs no card. Returns how many sources were compiled.
    ///
    /// # Errors
    ///
    /// If NVRTC is missing, `Ok(Err(…))` says how to install it. A kernel that does not compile is the outer
    /// error.
    ///
    /// ```
    /// use virpack_device::Cuda;
    ///
    /// match Cuda::compile_kernels("sm_90a")? {
    ///     Ok(sources) => assert!(sources > 10),
    ///     Err(missing) => println!("{missing}; {}", missing.remedy.hint()),
    /// }
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn compile_kernels(architecture: &str) -> Result<Result<usize, Unavailable>, DeviceError> {
        if let Err(missing) = libraries::open_compiler() {
            return Ok(Err(missing));
        }
        let all: Vec<(Dtype, KernelSource)> = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::Int8]
            .into_iter()
            .flat_map(|dtype| sources(dtype, architecture).into_iter().map(move |source| (dtype, source)))
            .collect();
        let waiting = Mutex::new(all.iter());
        let compile = || {
            loop {
                let Some((dtype, source)) = waiting.lock().next() else { return Ok(()) };
                compile::compile_for(source, *dtype, architecture)?;
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(compile)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|e| resume_unwind(e)))
        })?;
        Ok(Ok(all.len()))
    }
}
