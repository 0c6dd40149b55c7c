//! Rows that become bfloat16 as they are written.

use super::super::math::gelu;
use super::super::norm::NormRow;
use super::{Kernel, round, widen};
use pulp::{Simd, WithSimd};

/// A float32 row in bfloat16.
pub(crate) struct NarrowRow<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) out: &'a mut [u16],
}

impl WithSimd for NarrowRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        narrow(self.x, self.out);
    }
}

/// `out` of `x`, rounded.
#[inline(always)]
pub(crate) fn narrow(x: &[f32], out: &mut [u16]) {
    for (o, v) in out.iter_mut().zip(x) {
        *o = round(*v);
    }
}

/// One head of one token, rotated by angles with these cosines and sines, into the first values of `out`.
#[inline(always)]
pub(crate) fn rotate(kernel: Kernel, head: &[u16], [cos, sin]: [&[f32]; 2], out: &mut [u16]) {
    let half = cos.len();
    let (low, high) = (&head[..half], &head[half..2 * half]);
    let (out_low, out_high) = out[..2 * half].split_at_mut(half);
    #[cfg(target_arch = "x86_64")]
    if kernel.has_avx512 {
        // SAFETY: the processor has the instructions; all six slices are as long as `cos`.
        return unsafe { super::avx512::rotate([low, high], [cos, &sin[..half]], [out_low, out_high]) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = kernel;
    for i in 0..half {
        let (l, h) = (widen(low[i]), widen(high[i]));
        out_low[i] = round(l * cos[i] - h * sin[i]);
        out_high[i] = round(h * cos[i] + l * sin[i]);
    }
}

/// A layer norm's row in bfloat16, by way of `norm.out`.
pub(crate) struct NormAndNarrow<'a> {
    pub(crate) norm: NormRow<'a>,
    pub(crate) out: &'a mut [u16],
}

impl WithSimd for NormAndNarrow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let NormAndNarrow { norm: NormRow { x, weight, bias, eps, out: row }, out } = self;
        NormRow { x, weight, bias, eps, out: &mut *row }.with_simd(simd);
        narrow(row, out);
    }
}

/// `gelu(gate) · value` of one row, `[gate | value]`.
pub(crate) struct GatedRow<'a> {
    pub(crate) x: &'a [u16],
    pub(crate) out: &'a mut [u16],
}

impl WithSimd for GatedRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const STEP: usize = 64;
        let (gate, value) = self.x.split_at(self.out.len());
        let mut wide = [0.0f32; STEP];
        for ((gate, value), out) in gate.chunks(STEP).zip(value.chunks(STEP)).zip(self.out.chunks_mut(STEP)) {
            wide.iter_mut().zip(gate).for_each(|(wide, gate)| *wide = widen(*gate));
            // Lanes past the end hold what was there; they are not written.
            for vector in S::as_mut_simd_f32s(&mut wide).0 {
                *vector = gelu(simd, *vector);
            }
            for ((out, wide), value) in out.iter_mut().zip(&wide).zip(value) {
                *out = round(wide * widen(*value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bf16Instructions;
    use super::*;
    use pulp::Arch;

    #[test]
    fn heads_of_any_even_width_are_rotated_and_nothing_beside_them() {
        for way in Bf16Instructions::available() {
            let kernel = Kernel::new(Arch::new(), way);
            for half in [1, 4, 8, 12, 16, 20, 32, 48] {
                let head: Vec<u16> = (0..2 * half + 3).map(|i| round((i * 7 % 23) as f32 - 11.0)).collect();
                let angles: Vec<f32> = (0..half).map(|i| i as f32 * 0.7 - 2.0).collect();
                let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
                let mut out = vec![7; 2 * half + 3];
                rotate(kernel, &head, [&cos, &sin], &mut out);
                for i in 0..half {
                    let (l, h) = (f64::from(widen(head[i])), f64::from(widen(head[half + i])));
                    let (sin, cos) = f64::from(angles[i]).sin_cos();
                    for (exact, given) in [(l * cos - h * sin, out[i]), (h * cos + l * sin, out[half + i])] {
                        let error = (f64::from(widen(given)) - exact).abs();
                        assert!(error <= exact.abs() / 250.0 + 1e-5, "{way}, width {}: {exact}", 2 * half);
                    }
                }
                assert_eq!(out[2 * half..], [7; 3], "{way}, width {}", 2 * half);
            }
        }
    }
}
