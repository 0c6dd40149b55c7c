//! Products with weights in bfloat16: blocks, and what follows each while its sums are in cache.

use super::super::math::gelu;
use super::super::tiles::{Cut, OnTile, SharedRows, Tile};
use super::panels::Bf16Panels;
use super::rows::narrow;
use super::{BLOCK_ROWS, Kernel, PANEL, Rows};
use pulp::{Simd, WithSimd};

/// Columns of a block.
const COLUMNS: usize = 2 * PANEL;

/// How a product is cut for the threads: a tile's rows stay in a core's second-level cache while all its
/// weights pass by.
pub(crate) const CUT: Cut = Cut { rows: 128, columns: COLUMNS, tiles_a_thread: 8 };

/// Where a product's rows go.
#[derive(Clone, Copy)]
pub(crate) enum Destination {
    /// float32 rows: the product is added to them.
    Add(SharedRows<f32>),
    /// bfloat16 rows.
    Write(SharedRows<u16>),
}

/// One tile of `x · weightᵀ + bias`, then `then`, into `target`, `[rows, outputs]`: two panels at a time go
/// past all its rows. The first row of `x` is the row `first` of `target`.
///
/// # Safety
///
/// What `target` is made of is borrowed until this returns, and nothing else reads or writes the tile.
pub(crate) unsafe fn product(
    kernel: Kernel,
    (x, first): (Rows, usize),
    (weight, bias): (&Bf16Panels, Option<&[f32]>),
    then: OnTile,
    target: Destination,
    tile: &Tile,
) {
    let mut session = kernel.session();
    let mut sums = Sums([0.0; BLOCK_ROWS * COLUMNS]);
    for column in tile.columns.clone().step_by(COLUMNS) {
        let columns = COLUMNS.min(tile.columns.end - column);
        let panels = weight.panels(column / PANEL, columns.div_ceil(PANEL));
        let mut added = [0.0; COLUMNS];
        if let Some(bias) = bias {
            added[..columns].copy_from_slice(&bias[column..column + columns]);
        }
        let mut weights = session.weights(panels, weight.pairs);
        for row in tile.rows.clone().step_by(BLOCK_ROWS) {
            let count = BLOCK_ROWS.min(tile.rows.end - row);
            weights.multiply(x.from(row - first), count, &mut sums.0, COLUMNS);
            let sums = &mut sums.0[..count * COLUMNS];
            kernel.arch().dispatch(Finish { sums, bias: &added, then, target, row, column, columns });
        }
    }
}

/// A block's sums, at the beginning of a cache line.
#[repr(align(64))]
struct Sums([f32; BLOCK_ROWS * COLUMNS]);

/// What follows a block's product. It is made in [`product`] alone, for rows and columns of its tile.
struct Finish<'a> {
    /// `[rows, COLUMNS]`.
    sums: &'a mut [f32],
    bias: &'a [f32; COLUMNS],
    then: OnTile,
    target: Destination,
    /// The first row.
    row: usize,
    /// The first column, and how many there are.
    column: usize,
    columns: usize,
}

impl WithSimd for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.target {
            Destination::Add(rows) => self.add(simd, rows),
            Destination::Write(rows) if self.then == OnTile::Gelu => self.write::<S, true>(simd, rows),
            Destination::Write(rows) => self.write::<S, false>(simd, rows),
        }
    }
}

impl Finish<'_> {
    /// Adds sums and bias to `rows`.
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, rows: SharedRows<f32>) {
        let (bias, _) = S::as_simd_f32s(self.bias);
        for (i, sums) in self.sums.as_chunks::<COLUMNS>().0.iter().enumerate() {
            // SAFETY: the part lies in the tile, which is this thread's alone while `product` runs.
            let out = unsafe { rows.row(self.row + i, self.column..self.column + self.columns) };
            if self.columns == COLUMNS {
                let (sums, _) = S::as_simd_f32s(sums);
                let (out, _) = S::as_mut_simd_f32s(out);
                for ((out, sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                    *out = simd.add_f32s(*out, simd.add_f32s(*sum, *bias));
                }
            } else {
                for ((out, sum), bias) in out.iter_mut().zip(sums).zip(self.bias) {
                    *out += sum + bias;
                }
            }
        }
    }

    /// Writes sums and bias to `rows`, after the exact GELU where `GELU`.
    #[inline(always)]
    fn write<S: Simd, const GELU: bool>(self, simd: S, rows: SharedRows<u16>) {
        let (bias, _) = S::as_simd_f32s(self.bias);
        for (i, sums) in self.sums.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
            for (sum, bias) in S::as_mut_simd_f32s(sums).0.iter_mut().zip(bias) {
                let value = simd.add_f32s(*sum, *bias);
                *sum = if GELU { gelu(simd, value) } else { value };
            }
            // SAFETY: as above.
            let out = unsafe { rows.row(self.row + i, self.column..self.column + self.columns) };
            match out.first_chunk_mut::<COLUMNS>() {
                Some(out) => narrow(sums, out),
                None => narrow(sums, out),
            }
        }
    }
}
