//! The inner loop of float32 products: a few rows by a panel or two of weights, in vectors of any length.
//!
//! As in BLIS (doi:10.1145/2764454) all sums stay in registers: an input's weights come in vectors, and a
//! row's value in all lanes.

use super::panels::PANEL;
use pulp::Simd;

/// Panels of weights that follow each other, or a range of their inputs.
#[derive(Clone, Copy)]
pub(super) struct PanelValues<'a> {
    /// From the first input of the first panel on, [`PANEL`] outputs each.
    pub(super) values: &'a [f32],
    /// Values from the start of a panel to the start of the next.
    pub(super) stride: usize,
    /// Inputs to multiply.
    pub(super) inputs: usize,
}

/// Returns the sums of `ROWS` rows, which begin at `starts` in `x`, by `PANELS` panels: `V` vectors for each
/// row.
///
/// Each sum adds the inputs in their order, so that its bits do not depend on `V`, `PANELS` or `ROWS`.
#[inline(always)]
pub(super) fn sums<S: Simd, const V: usize, const PANELS: usize, const ROWS: usize>(
    simd: S,
    x: &[f32],
    starts: [usize; ROWS],
    panels: PanelValues<'_>,
) -> [[S::f32s; V]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); V]; ROWS];
    let (vectors, _) = S::as_simd_f32s(panels.values);
    let (inputs, of_panel, stride) = (panels.inputs, V / PANELS, panels.stride / S::F32_LANES);
    assert!(of_panel * PANELS == V && of_panel * S::F32_LANES == PANEL);
    assert!(panels.stride.is_multiple_of(S::F32_LANES));
    let before_last = (PANELS - 1).checked_mul(stride);
    let of_last = before_last.and_then(|before| vectors.len().checked_sub(before));
    assert!(of_last.is_some_and(|vectors| vectors / of_panel >= inputs));
    let last_start = x.len().checked_sub(inputs);
    assert!(last_start.is_some_and(|last| starts.iter().all(|start| *start <= last)));
    for input in 0..inputs {
        let mut weights = [simd.splat_f32s(0.0); V];
        for (v, weight) in weights.iter_mut().enumerate() {
            let place = v / of_panel * stride + input * of_panel + v % of_panel;
            // SAFETY: at most (PANELS - 1) · stride + inputs · of_panel - 1, by the third assertion.
            *weight = unsafe { *vectors.get_unchecked(place) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: input < inputs, by the fourth assertion.
            let x = simd.splat_f32s(unsafe { *x.get_unchecked(starts[row] + input) });
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_e_f32s(x, weight, *sum);
            }
        }
    }
    sums
}
