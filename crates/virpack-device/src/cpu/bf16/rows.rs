//! Rows that become bfloat16 as they are written.

use super::super::math::gelu;
use super::super::norm::NormRow;
use super::{round, widen};
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
