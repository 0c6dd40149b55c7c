//! Blocks by float32 arithmetic on values that are widened first, in vectors of any length.
//!
//! Two panels of weights are widened once for all rows that they meet ([`Wide::take`]), eight rows at a time
//! beside them, so that the inner loop is one of float32: the weights in vectors, a row's value in all lanes.

use super::super::lines::Lines;
use super::super::microkernel::{PanelValues, sums};
use super::{PANEL, ProductBlock, widen};
use pulp::{Arch, Simd, WithSimd};

/// Most rows that are widened together.
const MOST_ROWS: usize = 8;

/// Widened values of a thread.
#[derive(Default)]
pub(crate) struct Wide {
    /// The inputs of a panel, [`PANEL`] outputs each; then those of the next.
    panels: Lines,
    /// `[MOST_ROWS, inputs]`.
    rows: Lines,
}

impl Wide {
    /// Widens panels, which [`Wide::multiply`] then multiplies by.
    pub(super) fn take(&mut self, arch: Arch, panels: &[u32]) {
        self.panels.at_least(2 * panels.len());
        arch.dispatch(Take { panels, out: self.panels.f32s_mut() });
    }

    /// The sums of a block whose panels were taken.
    pub(super) fn multiply(&mut self, arch: Arch, block: ProductBlock, out: &mut [f32], stride: usize) {
        self.rows.at_least(MOST_ROWS * 2 * block.pairs);
        arch.dispatch(Multiply { wide: self, block, out, stride });
    }
}

struct Take<'a> {
    panels: &'a [u32],
    out: &'a mut [f32],
}

impl WithSimd for Take<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // By the vector: left to itself the compiler scatters.
        let of_pair = PANEL / S::F32_LANES;
        let (words, _) = S::as_simd_u32s(self.panels);
        let (out, _) = S::as_mut_simd_f32s(self.out);
        let (low_half, high_half) = (simd.splat_u32s(16), simd.splat_u32s(0xffff_0000));
        for (words, out) in words.chunks_exact(of_pair).zip(out.chunks_exact_mut(2 * of_pair)) {
            let (even, odd) = out.split_at_mut(of_pair);
            for ((word, even), odd) in words.iter().zip(even).zip(odd) {
                *even = simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(*word, low_half));
                *odd = simd.transmute_f32s_u32s(simd.and_u32s(*word, high_half));
            }
        }
    }
}

struct Multiply<'a> {
    wide: &'a mut Wide,
    block: ProductBlock<'a>,
    out: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Vectors of two panels or one, and rows whose sums fit the registers beside them.
        match (S::F32_LANES, self.block.width()) {
            (16, 2) => self.run::<S, 2, 2, 8>(simd),
            (16, _) => self.run::<S, 1, 1, 8>(simd),
            (8, _) => self.run::<S, 2, 1, 4>(simd),
            (4, _) if S::REGISTER_COUNT >= 32 => self.run::<S, 4, 1, 4>(simd),
            (4, _) => self.run::<S, 4, 1, 2>(simd),
            (2, _) => self.run::<S, 8, 1, 1>(simd),
            _ => self.run::<S, PANEL, 1, 1>(simd),
        }
    }
}

impl Multiply<'_> {
    /// `V` vectors, of `PANELS` panels together, and `ROWS` rows at a time.
    #[inline(always)]
    fn run<S: Simd, const V: usize, const PANELS: usize, const ROWS: usize>(self, simd: S) {
        let Multiply { wide, block, out, stride } = self;
        let inputs = 2 * block.pairs;
        let panels = &wide.panels.f32s()[..block.width() * inputs * PANEL];
        let lanes = S::F32_LANES;
        for first in (0..block.count).step_by(ROWS) {
            let rows = &mut wide.rows.f32s_mut()[..ROWS * inputs];
            for (row, wide) in rows.chunks_exact_mut(inputs).enumerate() {
                for (wide, value) in wide.iter_mut().zip(block.rows.part(first + row, 0, inputs)) {
                    *wide = widen(*value);
                }
            }
            for (n, panels) in panels.chunks_exact(PANELS * inputs * PANEL).enumerate() {
                let panels = PanelValues { values: panels, stride: inputs * PANEL, inputs };
                let starts = std::array::from_fn(|row| row * inputs);
                let sums = sums::<S, V, PANELS, ROWS>(simd, rows, starts, panels);
                for (row, sums) in sums.iter().enumerate() {
                    let out = &mut out[(first + row) * stride + n * PANELS * PANEL..][..V * lanes];
                    S::as_mut_simd_f32s(out).0.copy_from_slice(sums);
                }
            }
        }
    }
}
