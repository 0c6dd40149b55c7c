//! Softmax of a block of scores, with what came before.

use super::super::math::exp2_nonpositive;
use super::Kernel;
use pulp::Simd;

/// One query's softmax so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Running {
    pub(super) maximum: f32,
    /// The sum of the exponentials.
    pub(super) total: f32,
    /// What earlier sums are multiplied by, since the last block.
    pub(super) shrink: f32,
}

impl Running {
    /// Returns the maximum of `before` and of a block whose highest score is `highest`.
    pub(super) fn maximum(before: Option<Running>, highest: f32) -> f32 {
        before.map_or(highest, |before| if highest > before.maximum { highest } else { before.maximum })
    }

    /// Returns the softmax after a block: its exponentials below `maximum` sum to `total`, and `shrink`
    /// brings what was `before` to that maximum.
    pub(super) fn after(before: Option<Running>, maximum: f32, total: f32, shrink: f32) -> Running {
        let earlier = before.map_or(0.0, |before| before.total * shrink);
        Running { maximum, total: earlier + total, shrink }
    }
}

/// One query's `scores`, in units of `scale`, to `weights`: their exponentials to the base of two below the
/// running maximum, in bfloat16. Both are a multiple of 32 values long; scores may be
/// overwritten.
///
/// Returns the softmax after them. It sums the weights as they were rounded, because values are multiplied by
/// those.
#[inline(always)]
pub(super) fn weigh<S: Simd>(
    simd: S,
    kernel: Kernel,
    scores: &mut [f32],
    weights: &mut [u16],
    before: Option<Running>,
    scale: f32,
) -> Running {
    #[cfg(target_arch = "x86_64")]
    if kernel.has_avx512 {
        // SAFETY: the processor has the instructions.
        return unsafe { super::avx512::weigh(scores, weights, before, scale) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = kernel;
    let vectors = S::as_mut_simd_f32s(scores).0;
    let mut highest = simd.splat_f32s(f32::NEG_INFINITY);
    for score in vectors.iter() {
        highest = simd.max_f32s(highest, *score);
    }
    let maximum = Running::maximum(before, simd.reduce_max_f32s(highest));
    let shift = -maximum * scale;
    let total = exponentials(simd, vectors, scale, shift);
    for (weight, score) in weights.iter_mut().zip(&*scores) {
        *weight = (score.to_bits() >> 16) as u16;
    }
    let shrink = before.map_or(0.0, |before| {
        let fallen = simd.splat_f32s((before.maximum - maximum) * scale);
        simd.reduce_max_f32s(exp2_nonpositive(simd, fallen))
    });
    Running::after(before, maximum, total, shrink)
}

/// Scores to `2^(score · scale + shift)`, rounded to bfloat16 and still float32; returns their sum.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, scores: &mut [S::f32s], scale: f32, shift: f32) -> f32 {
    let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
    let (half, one, kept) = (simd.splat_u32s(0x7fff), simd.splat_u32s(1), simd.splat_u32s(0xffff_0000));
    let mut total = simd.splat_f32s(0.0);
    for score in scores {
        let power = exp2_nonpositive(simd, simd.mul_add_e_f32s(*score, scale, shift));
        // Ties to even; a NaN keeps its first bits.
        let bits = simd.transmute_u32s_f32s(power);
        let last = simd.and_u32s(simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(16)), one);
        let bits = simd.and_u32s(simd.add_u32s(bits, simd.add_u32s(half, last)), kept);
        *score = simd.transmute_f32s_u32s(bits);
        total = simd.add_f32s(total, *score);
    }
    simd.reduce_sum_f32s(total)
}

#[cfg(test)]
mod tests {
    use super::super::{Bf16Instructions, widen};
    use super::*;
    use pulp::{Arch, WithSimd};

    struct Weigh<'a> {
        kernel: Kernel,
        scores: &'a mut [f32],
        weights: &'a mut [u16],
        before: Option<Running>,
    }

    impl WithSimd for Weigh<'_> {
        type Output = Running;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Running {
            weigh(simd, self.kernel, self.scores, self.weights, self.before, SCALE)
        }
    }

    const SCALE: f32 = 0.36;

    fn scores(block: usize) -> Vec<f32> {
        (0..96).map(|i| ((i * 37 + block * 11) % 101) as f32 * 0.8 - 40.0 + 9.0 * block as f32).collect()
    }

    #[test]
    fn weights_are_powers_of_two_and_the_total_is_their_sum() {
        for way in Bf16Instructions::available() {
            let kernel = Kernel::new(Arch::new(), way);
            let (mut before, mut total, mut highest) = (None, 0.0f64, f64::NEG_INFINITY);
            for block in 0..3 {
                let mut scores = scores(block);
                scores[90..].fill(f32::NEG_INFINITY);
                let given = scores.clone();
                let mut weights = vec![0; 96];
                let running = Weigh { kernel, scores: &mut scores, weights: &mut weights, before };
                let running = kernel.arch().dispatch(running);
                let risen = given.iter().fold(highest, |highest, score| highest.max(f64::from(*score)));
                let shrink = ((highest - risen) * f64::from(SCALE)).exp2();
                let mut sum = 0.0;
                for (score, weight) in given.iter().zip(&weights) {
                    let exact = ((f64::from(*score) - risen) * f64::from(SCALE)).exp2();
                    let weight = f64::from(widen(*weight));
                    assert!((weight - exact).abs() <= exact / 250.0 + 1e-37, "{way}: {weight} of {exact}");
                    sum += weight;
                }
                total = total * shrink + sum;
                highest = risen;
                assert_eq!(f64::from(running.maximum), highest, "{way}");
                assert!((f64::from(running.total) - total).abs() < 1e-5 * total, "{way}: {total}");
                let fallen = if block == 0 { 0.0 } else { shrink };
                assert!((f64::from(running.shrink) - fallen).abs() <= 1e-5 * fallen, "{way}: {fallen}");
                before = Some(running);
            }
        }
    }

    #[test]
    fn a_score_that_is_no_number_is_not_lost() {
        for way in Bf16Instructions::available() {
            for place in [0, 15, 40, 95] {
                let kernel = Kernel::new(Arch::new(), way);
                let (mut scores, mut weights) = (scores(0), vec![0; 96]);
                scores[place] = f32::NAN;
                let weigh = Weigh { kernel, scores: &mut scores, weights: &mut weights, before: None };
                assert!(kernel.arch().dispatch(weigh).total.is_nan(), "{way}, {place}");
                assert!(widen(weights[place]).is_nan(), "{way}, {place}");
            }
        }
    }
}
