//! Blocks by `vdpbf16ps`: sixteen outputs a vector, a pair of inputs an instruction.

use super::{Block, PANEL};
use std::arch::x86_64::{
    __cpuid, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

/// Rows worked on together: with two panels sixteen sums, enough to hide the latency of six cycles.
const ROWS: usize = 8;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// Returns whether they are faster than float32: on AMD's processors.
pub(super) fn is_fast() -> bool {
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
}

/// The sums of a block.
///
/// # Safety
///
/// As `Multiplier::multiply` asserts; the processor has the instructions.
pub(super) unsafe fn multiply(block: Block, out: &mut [f32], stride: usize) {
    for first in (0..block.count).step_by(ROWS) {
        let rows = block.rows.values[first * block.rows.stride..].as_ptr();
        let out = out[first * stride..].as_mut_ptr();
        let (panels, pairs) = (block.panels.as_ptr(), block.pairs);
        // SAFETY: the caller's promise; a multiple of PANEL rows can be read and written, which ROWS divides.
        unsafe {
            match block.width() {
                1 => rows_by_panels::<1>(rows, block.rows.stride, panels, pairs, out, stride),
                _ => rows_by_panels::<2>(rows, block.rows.stride, panels, pairs, out, stride),
            }
        }
    }
}

/// [`ROWS`] rows by `N` panels.
///
/// # Safety
///
/// As [`multiply`].
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rows_by_panels<const N: usize>(
    rows: *const u16,
    row_stride: usize,
    panels: *const u32,
    pairs: usize,
    out: *mut f32,
    out_stride: usize,
) {
    let mut sums = [[_mm512_setzero_ps(); N]; ROWS];
    for pair in 0..pairs {
        let mut weights = [_mm512_set1_epi32(0); N];
        for (n, weights) in weights.iter_mut().enumerate() {
            // SAFETY: N panels of `pairs` vectors.
            *weights = unsafe { _mm512_loadu_si512(panels.add((n * pairs + pair) * PANEL).cast()) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: ROWS rows of at least 2 · pairs values.
            let x = unsafe { rows.add(row * row_stride + 2 * pair).cast::<i32>().read_unaligned() };
            let x = bf16s(_mm512_set1_epi32(x));
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_dpbf16_ps(*sum, x, bf16s(weights));
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        for (n, sum) in sums.iter().enumerate() {
            // SAFETY: ROWS rows of at least N · PANEL values, `out_stride` apart.
            unsafe { _mm512_storeu_ps(out.add(row * out_stride + n * PANEL), *sum) };
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16s(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of any bits.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}
