//! Vector exponentials and the exact GELU.

use pulp::Simd;

/// `e^x` for `x <= 0`, within 2 units in the last place; arguments under -87 give `e^-87` (1.6e-38).
///
/// Reduced to `2^n · e^r`, `|r| <= ln 2 / 2`, with `ln 2` in two parts (Cody and Waite), then the Taylor
/// polynomial of degree 7.
#[inline(always)]
pub(crate) fn exp_nonpositive<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // ln 2 in two parts; the first has zeros in its last 9 bits, so that n times it is exact.
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it leaves the nearest integer in the low bits
    let x = simd.max_f32s(simd.splat_f32s(-87.0), x); // this way round keeps NaN on x86
    let shifted = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), simd.splat_f32s(ROUND));
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_HIGH), x);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_LOW), r);
    let mut p = simd.splat_f32s(1.0 / 5040.0);
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(c));
    }
    // n is in the low bits of `shifted`; moved into the exponent it multiplies by 2^n.
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent))
}

/// `(2^r - 1) / r` for `|r| <= 1/2`: a fit whose largest relative error in `2^r` is 2.9e-6, made by
/// `dev/exp2_fit.py`. Highest power first.
pub(crate) const EXP2: [f32; 4] = [9.582_853e-3, 5.590_642_6e-2, 0.240_240_99, 0.693_124_2];

/// `2^x` for `x <= 0`, within 4e-6 of its value: enough for results in bfloat16. Arguments under -126 give
/// `2^-126`.
///
/// Reduced to `2^n · 2^r`, `|r| <= 1/2`, then a polynomial of degree 4.
#[inline(always)]
pub(crate) fn exp2_nonpositive<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const ROUND: f32 = 12_582_912.0; // as above
    let x = simd.max_f32s(simd.splat_f32s(-126.0), x);
    let shifted = simd.add_f32s(x, simd.splat_f32s(ROUND));
    let r = simd.sub_f32s(x, simd.sub_f32s(shifted, simd.splat_f32s(ROUND)));
    let mut p = simd.splat_f32s(EXP2[0]);
    for c in [EXP2[1], EXP2[2], EXP2[3], 1.0] {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(c));
    }
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent))
}

/// `ln(erfc(t)) / t` on `[0, 5]`: a least-squares fit weighted by the error it causes in GELU (3e-10 before
/// rounding), made by `dev/erfc_fit.py`. Lowest power first.
const LN_ERFC: [f32; 10] = [
    -std::f32::consts::FRAC_2_SQRT_PI,
    -0.636_619_2,
    -0.102_774_68,
    0.019_125_927,
    0.000_242_840_83,
    -0.001_793_103,
    0.000_739_546_8,
    -0.000_168_117_68,
    2.170_205_7e-5,
    -1.241_363_5e-6,
];

/// Returns the exact GELU, `x · erfc(-x / √2) / 2`, within 1e-7 of its own scale.
///
/// For negative `x` the complementary error function is used as it is, so the tail keeps its relative
/// accuracy and goes to zero.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let t = simd.mul_f32s(simd.abs_f32s(x), simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2));
    let inside = simd.min_f32s(simd.splat_f32s(5.0), t);
    let mut q = simd.splat_f32s(LN_ERFC[9]);
    for c in LN_ERFC[..9].iter().rev() {
        q = simd.mul_add_e_f32s(q, inside, simd.splat_f32s(*c));
    }
    // Past the fit -t² falls faster than any value that matters, and keeps the tail monotonic.
    let past = simd.sub_f32s(inside, t);
    let q = simd.mul_add_e_f32s(q, inside, simd.mul_f32s(past, simd.splat_f32s(10.0)));
    let erfc = exp_nonpositive(simd, q);
    let upper = simd.sub_f32s(simd.splat_f32s(2.0), erfc);
    let phi = simd.select_f32s(simd.less_than_f32s(x, zero), erfc, upper);
    simd.mul_f32s(simd.mul_f32s(x, simd.splat_f32s(0.5)), phi)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::{Arch, WithSimd};

    struct Map<'a, F>(&'a mut [f32], F);

    trait Function {
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s;
    }
    struct Gelu;
    impl Function for Gelu {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            gelu(simd, x)
        }
    }
    struct Exp2;
    impl Function for Exp2 {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            exp2_nonpositive(simd, x)
        }
    }
    struct Exp;
    impl Function for Exp {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            exp_nonpositive(simd, x)
        }
    }
    impl<F: Function> WithSimd for Map<'_, F> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (head, tail) = S::as_mut_simd_f32s(self.0);
            assert!(tail.is_empty());
            for x in head {
                *x = self.1.apply(simd, *x);
            }
        }
    }

    /// erf by its Taylor series and its continued fraction, in f64: independent of the fit.
    fn erfc(t: f64) -> f64 {
        if t < 0.0 {
            return 2.0 - erfc(-t);
        }
        if t < 2.5 {
            let (mut term, mut sum) = (t, t);
            for n in 1..200 {
                term *= -t * t / n as f64;
                sum += term / (2 * n + 1) as f64;
            }
            return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
        }
        let mut fraction = 0.0;
        for k in (1..200).rev() {
            fraction = k as f64 / 2.0 / (t + fraction);
        }
        (-t * t).exp() / ((t + fraction) * std::f64::consts::PI.sqrt())
    }

    #[test]
    fn gelu_is_exact_to_float32_rounding() {
        let inputs: Vec<f32> = (-1_280_000..1_280_000).map(|i| i as f32 * 1e-5).collect();
        let mut outputs = inputs.clone();
        Arch::new().dispatch(Map(&mut outputs, Gelu));
        for (x, y) in inputs.iter().zip(&outputs) {
            let exact = 0.5 * *x as f64 * erfc(-*x as f64 / std::f64::consts::SQRT_2);
            let error = (*y as f64 - exact).abs();
            assert!(error <= 1.5e-7 * x.abs().max(1.0) as f64, "gelu({x}) = {y}, exact {exact}");
        }
    }

    #[test]
    fn gelu_of_the_far_ends() {
        let mut values = vec![-1e30, -100.0, -20.0, 20.0, 100.0, 1e30, 0.0, -0.0];
        values.resize(16, 0.0);
        Arch::new().dispatch(Map(&mut values, Gelu));
        assert!(values[..3].iter().all(|v| v.abs() < 1e-6), "{values:?}");
        assert_eq!(values[3..8], [20.0, 100.0, 1e30, 0.0, 0.0]);
    }

    #[test]
    fn gelu_keeps_nan() {
        let mut values = vec![f32::NAN; 16];
        Arch::new().dispatch(Map(&mut values, Gelu));
        assert!(values.iter().all(|v| v.is_nan()), "{values:?}");
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let inputs: Vec<f32> = (0..870_000).map(|i| -(i as f32) * 1e-4).chain([0.0; 16]).collect();
        let inputs = &inputs[..inputs.len() / 16 * 16];
        let mut outputs = inputs.to_vec();
        Arch::new().dispatch(Map(&mut outputs, Exp));
        for (x, y) in inputs.iter().zip(&outputs) {
            let exact = (*x as f64).exp();
            assert!(((*y as f64 - exact) / exact).abs() < 2.4e-7, "exp({x}) = {y}, exact {exact}");
        }
    }

    #[test]
    fn powers_of_two_are_as_close_as_they_say() {
        let inputs: Vec<f32> = (0..1_260_000).map(|i| -(i as f32) * 1e-4).chain([0.0; 16]).collect();
        let inputs = &inputs[..inputs.len() / 16 * 16];
        let mut outputs = inputs.to_vec();
        Arch::new().dispatch(Map(&mut outputs, Exp2));
        for (x, y) in inputs.iter().zip(&outputs) {
            let exact = (*x as f64).exp2();
            assert!(((*y as f64 - exact) / exact).abs() < 4e-6, "2^{x} = {y}, exact {exact}");
        }
        let mut ends = vec![-1e30, f32::NEG_INFINITY, -126.0, f32::NAN];
        ends.resize(16, -0.0);
        Arch::new().dispatch(Map(&mut ends, Exp2));
        assert_eq!(ends[..3], [f32::MIN_POSITIVE; 3]);
        assert!(ends[3].is_nan() && ends[4] == 1.0, "{ends:?}");
    }
}
