//! Products with weights: the library's multiplication a tile, what follows while the tile is in cache.

use super::bf16::panels::Panels;
use super::buffers::CpuTensor;
use super::gemm::{Left, multiply};
use super::math::gelu;
use super::tiles::{Cut, SharedRows, Tile};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// How products are cut: a tile's output stays in a core's second-level cache, and packing the weights again
/// for each tile costs little.
pub(super) const CUT: Cut = Cut { rows: 256, columns: 16, tiles_a_thread: 2 };

/// Weights on the CPU, `[rows, columns]`.
#[derive(Debug)]
pub struct CpuMatrix(pub(crate) Weights);

/// A weight matrix as its products read it.
#[derive(Debug)]
pub(crate) enum Weights {
    /// float32.
    Rows(RowMajor),
    /// bfloat16, for products alone.
    Panels(Panels),
}

/// float32 weights, `[rows, columns]` row-major as checkpoints have them.
#[derive(Debug)]
pub(crate) struct RowMajor {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl CpuMatrix {
    /// `[rows, columns]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match &self.0 {
            Weights::Rows(rows) => [rows.rows, rows.columns],
            Weights::Panels(panels) => [panels.outputs, panels.inputs],
        }
    }
}

/// What follows the product on each tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnTile {
    /// Nothing more.
    Nothing,
    /// The exact GELU.
    Gelu,
    /// The product is added to what the output holds.
    Add,
}

/// What a product reads: rows as long as its weight's, `stride` values from row to row.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

/// `x · weightᵀ + bias` into `out`, then what follows, by `tiles` of `out`, each with the first of the rows
/// of `x` that it reads.
pub(super) fn linear(
    arch: Arch,
    tiles: Vec<(Tile, usize)>,
    x: Input<'_>,
    weight: &RowMajor,
    bias: Option<&[f32]>,
    then: OnTile,
    out: &mut CpuTensor,
) {
    let columns = out.columns;
    let shared = SharedRows::new(out.values_mut(), columns);
    tiles.into_par_iter().for_each(|(tile, first)| {
        // SAFETY: `out` is borrowed until every tile is done, and tiles do not overlap.
        unsafe { product(x, first, weight, &tile, shared, then) };
        for row in tile.rows.clone() {
            // SAFETY: as above.
            let out = unsafe { shared.row(row, tile.columns.clone()) };
            let bias = bias.map(|b| &b[tile.columns.clone()]);
            arch.dispatch(BiasGelu { out, bias, gelu: then == OnTile::Gelu });
        }
    });
}

/// One tile of `x · weightᵀ`, stored or added; it reads the rows of `x` from `first` on.
///
/// # Safety
///
/// What `shared` was made of is borrowed, and no other thread works on this tile.
unsafe fn product(
    x: Input<'_>,
    first: usize,
    weight: &RowMajor,
    tile: &Tile,
    shared: SharedRows<f32>,
    then: OnTile,
) {
    let inner = weight.columns;
    let left = Left { values: &x.values[first * x.stride..], rows: tile.rows.len(), inner, stride: x.stride };
    let right = &weight.values[tile.columns.start * inner..tile.columns.end * inner];
    // SAFETY: the first element of the tile, inside the matrix by `row`'s assertion.
    let out = unsafe { shared.row(tile.rows.start, tile.columns.clone()) }.as_mut_ptr();
    // SAFETY: the tile's rows and columns lie inside the matrix, `stride` apart, and are this thread's alone.
    unsafe { multiply(left, right, out, shared.stride(), then == OnTile::Add) };
}

/// Bias and GELU on a part of a row.
struct BiasGelu<'a> {
    out: &'a mut [f32],
    bias: Option<&'a [f32]>,
    gelu: bool,
}

impl WithSimd for BiasGelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if let Some(bias) = self.bias {
            let (out, out_tail) = S::as_mut_simd_f32s(self.out);
            let (bias, bias_tail) = S::as_simd_f32s(bias);
            for (o, b) in out.iter_mut().zip(bias) {
                let sum = simd.add_f32s(*o, *b);
                *o = if self.gelu { gelu(simd, sum) } else { sum };
            }
            let sum = simd.add_f32s(simd.partial_load_f32s(out_tail), simd.partial_load_f32s(bias_tail));
            simd.partial_store_f32s(out_tail, if self.gelu { gelu(simd, sum) } else { sum });
        } else if self.gelu {
            map_gelu(simd, self.out);
        }
    }
}

/// GELU over a slice, in place.
#[inline(always)]
fn map_gelu<S: Simd>(simd: S, values: &mut [f32]) {
    let (head, tail) = S::as_mut_simd_f32s(values);
    for v in head {
        *v = gelu(simd, *v);
    }
    let last = gelu(simd, simd.partial_load_f32s(tail));
    simd.partial_store_f32s(tail, last);
}

/// GELU over a slice, in place.
pub(crate) struct MapGelu<'a>(pub(crate) &'a mut [f32]);

impl WithSimd for MapGelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        map_gelu(simd, self.0);
    }
}

/// `gelu(gate) · value` for one row.
pub(crate) struct Gated<'a> {
    pub(crate) gate: &'a [f32],
    pub(crate) value: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (gate, gate_tail) = S::as_simd_f32s(self.gate);
        let (value, value_tail) = S::as_simd_f32s(self.value);
        let (out, out_tail) = S::as_mut_simd_f32s(self.out);
        for ((o, g), v) in out.iter_mut().zip(gate).zip(value) {
            *o = simd.mul_f32s(gelu(simd, *g), *v);
        }
        let last =
            simd.mul_f32s(gelu(simd, simd.partial_load_f32s(gate_tail)), simd.partial_load_f32s(value_tail));
        simd.partial_store_f32s(out_tail, last);
    }
}
