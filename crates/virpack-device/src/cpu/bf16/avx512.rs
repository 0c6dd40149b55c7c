//! Blocks by `vdpbf16ps`: sixteen outputs a vector, a pair of inputs an instruction. Softmax's weights by
//! `vscalefps` and `vcvtne2ps2bf16`, and rotary positions.

use super::super::math::EXP2;
use super::softmax::Running;
use super::{PANEL, ProductBlock};
use std::arch::x86_64::{
    __cpuid, __m256bh, __m256i, __m512, __m512bh, __m512i, _mm256_mask_storeu_epi16,
    _mm256_maskz_loadu_epi16, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh,
    _mm512_cvtneps_pbh, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_fmsub_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_reduce_add_ps,
    _mm512_reduce_max_ps, _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps,
};

/// Rows worked on together: with two panels sixteen sums, enough to hide the latency of six cycles.
const ROWS: usize = 8;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
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
pub(super) unsafe fn multiply(block: ProductBlock, out: &mut [f32], stride: usize) {
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

/// [`super::softmax::weigh`], which leaves the scores as they are.
///
/// # Safety
///
/// The processor has the instructions.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn weigh(
    scores: &[f32],
    weights: &mut [u16],
    before: Option<Running>,
    scale: f32,
) -> Running {
    // No closures through functions such as `array::map`: there the instructions became calls.
    let scores = scores.as_chunks::<{ 2 * PANEL }>().0;
    let mut highest = [_mm512_set1_ps(f32::NEG_INFINITY); 2];
    for two in scores {
        highest[0] = _mm512_max_ps(highest[0], load(two, 0));
        highest[1] = _mm512_max_ps(highest[1], load(two, PANEL));
    }
    let highest = _mm512_reduce_max_ps(_mm512_max_ps(highest[0], highest[1]));
    let maximum = Running::maximum(before, highest);
    let (scales, shift) = (_mm512_set1_ps(scale), _mm512_set1_ps(-maximum * scale));
    let ones = bf16s(_mm512_set1_epi32(0x3f80_3f80));
    let mut total = _mm512_setzero_ps();
    for (two, weights) in scores.iter().zip(weights.as_chunks_mut::<{ 2 * PANEL }>().0) {
        let low = exp2(_mm512_fmadd_ps(load(two, 0), scales, shift));
        let high = exp2(_mm512_fmadd_ps(load(two, PANEL), scales, shift));
        let rounded = _mm512_cvtne2ps_pbh(high, low);
        total = _mm512_dpbf16_ps(total, rounded, ones);
        // SAFETY: both are 64 bytes of any bits, and so are the weights.
        unsafe {
            let bits = std::mem::transmute::<__m512bh, __m512i>(rounded);
            _mm512_storeu_si512(weights.as_mut_ptr().cast(), bits);
        }
    }
    let shrink = match before {
        None => 0.0,
        Some(before) => _mm512_reduce_max_ps(exp2(_mm512_set1_ps((before.maximum - maximum) * scale))),
    };
    Running::after(before, maximum, _mm512_reduce_add_ps(total), shrink)
}

/// One of two vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(two: &[f32; 2 * PANEL], first: usize) -> __m512 {
    // SAFETY: the slice is as long as a vector.
    unsafe { _mm512_loadu_ps(two[first..][..PANEL].as_ptr()) }
}

/// [`super::rows::rotate`]: halves of a head, cosines and sines, halves of the result.
///
/// # Safety
///
/// The processor has the instructions, and the slices have one length.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn rotate(
    [low, high]: [&[u16]; 2],
    [cos, sin]: [&[f32]; 2],
    [out_low, out_high]: [&mut [u16]; 2],
) {
    for first in (0..cos.len()).step_by(PANEL) {
        let mask = u16::MAX >> PANEL.saturating_sub(cos.len() - first);
        // SAFETY: the mask has the values from `first` on that every slice has.
        unsafe {
            let (low, high) = (wide(mask, low.as_ptr().add(first)), wide(mask, high.as_ptr().add(first)));
            let cos = _mm512_maskz_loadu_ps(mask, cos.as_ptr().add(first));
            let sin = _mm512_maskz_loadu_ps(mask, sin.as_ptr().add(first));
            let turned_low = _mm512_fmsub_ps(low, cos, _mm512_mul_ps(high, sin));
            let turned_high = _mm512_fmadd_ps(high, cos, _mm512_mul_ps(low, sin));
            store(mask, turned_low, out_low.as_mut_ptr().add(first));
            store(mask, turned_high, out_high.as_mut_ptr().add(first));
        }
    }
}

/// The values of `mask` in float32, others zeros.
///
/// # Safety
///
/// As [`rotate`], for the values of `mask`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn wide(mask: u16, from: *const u16) -> __m512 {
    // SAFETY: the caller's promise.
    let values = unsafe { _mm256_maskz_loadu_epi16(mask, from.cast()) };
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(values)))
}

/// Stores the values of `mask` in bfloat16.
///
/// # Safety
///
/// As [`rotate`], for the values of `mask`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn store(mask: u16, values: __m512, to: *mut u16) {
    // SAFETY: both are 32 bytes of any bits; the rest is the caller's promise.
    unsafe {
        let rounded = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(values));
        _mm256_mask_storeu_epi16(to.cast(), mask, rounded);
    }
}

/// [`super::super::math::exp2_nonpositive`].
#[inline]
#[target_feature(enable = "avx512f")]
fn exp2(x: __m512) -> __m512 {
    // In this order of arguments the maximum keeps a NaN.
    let x = _mm512_max_ps(_mm512_set1_ps(-126.0), x);
    // Without exceptions, to the nearest.
    let n = _mm512_roundscale_ps::<8>(x);
    let r = _mm512_sub_ps(x, n);
    let mut p = _mm512_set1_ps(EXP2[0]);
    for c in [EXP2[1], EXP2[2], EXP2[3], 1.0] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    }
    _mm512_scalef_ps(p, n)
}
