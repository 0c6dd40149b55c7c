//! Layer norm, one row at a time.

use pulp::{Simd, WithSimd};

/// One row to mean 0 and variance 1, then `· weight + bias`.
pub(crate) struct NormRow<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) eps: f32,
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for NormRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.x.len() as f32;
        let (x, x_tail) = S::as_simd_f32s(self.x);
        let mut sum = simd.splat_f32s(0.0);
        for v in x {
            sum = simd.add_f32s(sum, *v);
        }
        let mean = (simd.reduce_sum_f32s(sum) + x_tail.iter().sum::<f32>()) / n;

        let mean_s = simd.splat_f32s(mean);
        let mut squares = simd.splat_f32s(0.0);
        for v in x {
            let d = simd.sub_f32s(*v, mean_s);
            squares = simd.mul_add_e_f32s(d, d, squares);
        }
        let tail_squares: f32 = x_tail.iter().map(|v| (v - mean) * (v - mean)).sum();
        let variance = (simd.reduce_sum_f32s(squares) + tail_squares) / n;
        let scale = 1.0 / (variance + self.eps).sqrt();

        let scale_s = simd.splat_f32s(scale);
        let (weight, weight_tail) = S::as_simd_f32s(self.weight);
        let (bias, bias_tail) = S::as_simd_f32s(self.bias);
        let (out, out_tail) = S::as_mut_simd_f32s(self.out);
        for (((o, v), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            let normed = simd.mul_f32s(simd.sub_f32s(*v, mean_s), scale_s);
            *o = simd.mul_add_e_f32s(normed, *w, *b);
        }
        for (((o, v), w), b) in out_tail.iter_mut().zip(x_tail).zip(weight_tail).zip(bias_tail) {
            *o = (v - mean) * scale * w + b;
        }
    }
}
