//! Blocks by `bfmmla`: two rows by two outputs a vector, four inputs an instruction.

use super::{PANEL, ProductBlock};
use std::arch::aarch64::{
    float32x4_t, uint32x4_t, vdupq_n_f32, vdupq_n_u32, vld1q_u32, vreinterpretq_f32_u64,
    vreinterpretq_u32_u64, vreinterpretq_u64_f32, vreinterpretq_u64_u32, vst1q_f32, vzip1q_u32, vzip1q_u64,
    vzip2q_u32, vzip2q_u64,
};
use std::arch::{asm, is_aarch64_feature_detected};

/// Rows and outputs worked on together: their sums are sixteen of the 32 registers.
const ROWS: usize = 8;
const OUTPUTS: usize = 8;

pub(super) fn is_available() -> bool {
    is_aarch64_feature_detected!("bf16")
}

/// The sums of a block.
///
/// # Safety
///
/// As `Multiplier::multiply` asserts; the processor has the instructions.
pub(super) unsafe fn multiply(block: ProductBlock, out: &mut [f32], stride: usize) {
    for first in (0..block.count).step_by(ROWS) {
        let rows = block.rows.values[first * block.rows.stride..].as_ptr();
        for (n, panel) in block.panels.chunks_exact(block.pairs * PANEL).enumerate() {
            for output in (0..PANEL).step_by(OUTPUTS) {
                let out = out[first * stride + n * PANEL + output..].as_mut_ptr();
                // SAFETY: the caller's promise; a multiple of PANEL rows can be read and written, which ROWS
                // divides, and a panel has PANEL outputs, which OUTPUTS divides.
                unsafe {
                    rows_by_outputs(rows, block.rows.stride, &panel[output..], block.pairs, out, stride);
                }
            }
        }
    }
}

/// [`ROWS`] rows by [`OUTPUTS`] outputs of a panel.
///
/// # Safety
///
/// As [`multiply`].
#[target_feature(enable = "neon,bf16")]
unsafe fn rows_by_outputs(
    rows: *const u16,
    row_stride: usize,
    panel: &[u32],
    pairs: usize,
    out: *mut f32,
    out_stride: usize,
) {
    // Of two rows and two outputs: the first row's, then the second's.
    let mut sums = [[vdupq_n_f32(0.0); OUTPUTS / 2]; ROWS / 2];
    for pair in (0..pairs).step_by(4) {
        // Four inputs of two rows, and the four after them.
        let mut x = [[vdupq_n_u32(0); ROWS / 2]; 2];
        for two in 0..ROWS / 2 {
            // SAFETY: ROWS rows of at least 2 · pairs values; pairs is a multiple of four.
            let [upper, lower] = [0, 1].map(|row| unsafe {
                vreinterpretq_u64_u32(vld1q_u32(rows.add((2 * two + row) * row_stride + 2 * pair).cast()))
            });
            x[0][two] = vreinterpretq_u32_u64(vzip1q_u64(upper, lower));
            x[1][two] = vreinterpretq_u32_u64(vzip2q_u64(upper, lower));
        }
        for (half, x) in x.into_iter().enumerate() {
            for four in 0..OUTPUTS / 4 {
                // SAFETY: a panel has PANEL outputs in each pair, of which these are four.
                let [first, second] = [0, 1].map(|next| unsafe {
                    vld1q_u32(panel.as_ptr().add((pair + 2 * half + next) * PANEL + 4 * four))
                });
                let weights = [vzip1q_u32(first, second), vzip2q_u32(first, second)];
                for (sums, x) in sums.iter_mut().zip(x) {
                    for (sum, weights) in sums[2 * four..].iter_mut().zip(weights) {
                        *sum = bfmmla(*sum, x, weights);
                    }
                }
            }
        }
    }
    for (two, sums) in sums.iter().enumerate() {
        for (four, sums) in sums.chunks_exact(2).enumerate() {
            let [left, right] = [sums[0], sums[1]].map(|sum| vreinterpretq_u64_f32(sum));
            let [upper, lower] = [vzip1q_u64(left, right), vzip2q_u64(left, right)];
            // SAFETY: ROWS rows of at least OUTPUTS values, `out_stride` apart.
            unsafe {
                vst1q_f32(out.add(2 * two * out_stride + 4 * four), vreinterpretq_f32_u64(upper));
                vst1q_f32(out.add((2 * two + 1) * out_stride + 4 * four), vreinterpretq_f32_u64(lower));
            }
        }
    }
}

/// Adds the products of two rows of `x` and two of `weights`, four bfloat16 values each. The intrinsic is not
/// stable.
#[inline]
#[target_feature(enable = "neon,bf16")]
fn bfmmla(mut sum: float32x4_t, x: uint32x4_t, weights: uint32x4_t) -> float32x4_t {
    // SAFETY: registers alone are read and written.
    unsafe {
        asm!(
            "bfmmla {sum:v}.4s, {x:v}.8h, {weights:v}.8h",
            sum = inout(vreg) sum,
            x = in(vreg) x,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}
