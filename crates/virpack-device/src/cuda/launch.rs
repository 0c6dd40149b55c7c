//! The launchers' kernels: what each compiles, together.

use super::kernel_source::{KernelSource, kernel_source};
use super::{attention, attention_hopper, compile, fused_product, libraries, pairs};
use crate::{DeviceError, Dtype, Unavailable};

/// Embedding lookup, GELU, sums, conversions.
pub(super) fn elementwise() -> KernelSource {
    kernel_source!("elementwise.cu" after "pairs.cuh")
}

/// Layer norm, and its folding into a weight.
pub(super) fn norm() -> KernelSource {
    kernel_source!("norm.cu" after "pairs.cuh")
}

/// Pooling.
pub(super) fn pool() -> KernelSource {
    kernel_source!("pool.cu")
}

/// Rotary positions in place.
pub(super) fn rotary() -> KernelSource {
    kernel_source!("rotary.cu")
}

/// Attention for any width and dtype.
pub(super) fn attention_any() -> KernelSource {
    kernel_source!("attention_any.cu")
}

/// Every source that a card of this architecture uses for activations of `dtype`.
fn sources(dtype: Dtype, architecture: &str) -> Vec<KernelSource> {
    let hopper = architecture == compile::architecture(90);
    let mut sources = vec![elementwise(), norm(), pool(), rotary(), attention_any()];
    if dtype.is_float32() {
        sources.extend(pairs::sources().filter(|_| hopper));
    } else {
        sources.extend(attention::sources());
        sources.extend(attention_hopper::sources().filter(|_| hopper));
        sources.extend(fused_product::sources().filter(|_| hopper));
    }
    sources
}

/// Compiles the kernels of every source for `architecture`, on a machine with or without a card.
///
/// # Errors
///
/// Where NVRTC is missing, `Ok(Err(…))` says how to get it; a kernel that does not compile is the outer error.
pub fn compile_all(architecture: &str) -> Result<Result<usize, Unavailable>, DeviceError> {
    if let Err(missing) = libraries::open_compiler() {
        return Ok(Err(missing));
    }
    let mut count = 0;
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        for source in sources(dtype, architecture) {
            compile::compile_for(&source, dtype, architecture)?;
            count += 1;
        }
    }
    Ok(Ok(count))
}
