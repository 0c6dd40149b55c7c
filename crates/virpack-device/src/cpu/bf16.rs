//! bfloat16 on the CPU: products and attention of bfloat16 values with float32 sums.
//!
//! Weights are packed once into one layout ([`panels`]) that all instruction sets read; activations are rows
//! that are rounded as they are written. A product is made of blocks of up to [`BLOCK_ROWS`] rows by two
//! panels ([`instructions`]), attention of the same blocks: queries by keys, then weights by values.
//!
//! Each sum goes over the inputs in one order, whatever rows share its block, so that a row's bits do not
//! depend on its neighbours.

pub(super) mod attention;
mod instructions;
pub(super) mod linear;
pub(super) mod panels;
pub(super) mod row_block;
pub(super) mod rows;
mod softmax;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod widened;

pub use instructions::Bf16Instructions;
pub(super) use instructions::Kernel;
use instructions::{ProductBlock, Session};

use super::panels::PANEL;

/// Most rows of a block.
pub(crate) const BLOCK_ROWS: usize = 32;

/// Rows of activations and of weights have a multiple of these inputs: what AMX takes at a time.
pub(crate) const INPUTS: usize = 32;

/// Rows of bfloat16 values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// From the first row on. Blocks read a multiple of [`PANEL`] rows, the last of which may hold anything.
    pub(crate) values: &'a [u16],
    /// Values from the start of one row to the start of the next.
    pub(crate) stride: usize,
}

impl<'a> Rows<'a> {
    /// Returns the rows from `row` on.
    pub(crate) fn from(self, row: usize) -> Rows<'a> {
        Rows { values: &self.values[row * self.stride..], stride: self.stride }
    }

    /// `columns` values of `row` from `first` on.
    #[inline(always)]
    pub(crate) fn part(self, row: usize, first: usize, columns: usize) -> &'a [u16] {
        &self.values[row * self.stride + first..][..columns]
    }
}

/// Returns the inputs in a row of a product that has `columns` of them: the rest are zeros.
pub(crate) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(INPUTS)
}

/// Values from row to row: an odd number of cache lines, so that rows do not meet in the same places of a
/// cache.
pub(crate) fn stride(columns: usize) -> usize {
    (columns.div_ceil(INPUTS) | 1) * INPUTS
}

/// float32 values in whose memory a tensor fits.
pub(crate) fn memory(rows: usize, columns: usize) -> usize {
    rows.next_multiple_of(PANEL) * stride(columns) / 2
}

/// To the nearest bfloat16, ties to even; NaN stays NaN.
#[inline(always)]
pub(crate) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    (if value.is_nan() { quiet } else { rounded }) as u16
}

/// Returns the same value in float32.
#[inline(always)]
pub(crate) fn widen(value: u16) -> f32 {
    f32::from_bits(u32::from(value) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn rounding_is_that_of_the_crate_half() {
        let edges = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-40, -1e-45];
        let many = (0..2_000_000u32).map(|i| f32::from_bits(i.wrapping_mul(2_147_483_629)));
        for value in edges.into_iter().chain(many) {
            let expected = bf16::from_f32(value);
            if value.is_nan() {
                assert!(widen(round(value)).is_nan(), "{:x}", value.to_bits());
            } else {
                assert_eq!(round(value), expected.to_bits(), "{value:e}");
                assert_eq!(widen(round(value)), expected.to_f32());
            }
        }
    }

    #[test]
    fn rows_are_padded_to_odd_numbers_of_lines() {
        assert_eq!([1, 32, 33, 64, 640].map(padded), [32, 32, 64, 64, 640]);
        assert_eq!([1, 32, 33, 64, 640].map(stride), [32, 32, 96, 96, 672]);
    }
}
