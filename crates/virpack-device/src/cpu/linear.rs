//! Products with weights: the library's multiplication a tile, what follows while the tile is in cache.

use super::bf16::panels::Panels;
use super::exact::ExactValues;
use super::gemm::{Left, multiply};
use super::math::gelu;
use super::tiles::{Cut, OnTile, SharedRows, Tile};
use crate::DeviceError;
use pulp::{Arch, Simd, WithSimd};
use std::borrow::Cow;
use std::cell::RefCell;

/// Outputs whose weights are widened to float32 at a time, if they are kept in 16 bits: they stay in a
/// core's second-level cache. A thread's scratch is no larger than what the product's library packs of a
/// whole layer.
const WIDENED_OUTPUTS: usize = 128;

thread_local! {
    /// Weights that a thread has widened.
    static WIDENED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// How products are cut: a tile's output stays in a core's second-level cache, and packing the weights again
/// for each tile costs little. There are several tiles for each thread, because a virtual core can be slower
/// than others, and all threads wait for its last tile (BENCHMARKS.md, by threads).
pub(super) const CUT: Cut = Cut { rows: 256, columns: 16, tiles_a_thread: 8 };

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
    pub(crate) values: ExactValues,
}

impl CpuMatrix {
    /// `[rows, columns]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match &self.0 {
            Weights::Rows(rows) => [rows.rows, rows.columns],
            Weights::Panels(panels) => [panels.outputs, panels.inputs],
        }
    }

    /// Returns a table to look rows up in, and its values.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Shape`] for a bfloat16 matrix, which is laid out for products.
    pub(crate) fn table(&self, op: &'static str) -> Result<(&RowMajor, Cow<'_, [f32]>), DeviceError> {
        let Weights::Rows(rows) = &self.0 else {
            let given = format!("a bfloat16 matrix {:?}, for products", self.shape());
            return Err(DeviceError::Shape { op, expected: "a table".to_owned(), given });
        };
        // A table is in float32, unless a wrapper of this backend has uploaded it by `matrix`.
        Ok((rows, rows.values.to_f32()))
    }
}

/// What a product reads: rows as long as its weight's, `stride` values from row to row.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

/// One tile of `x · weightᵀ + bias` into `out`, then what follows; it reads the rows of `x` from `first` on.
///
/// # Safety
///
/// What `out` was made of is borrowed, and no other thread works on this tile.
pub(super) unsafe fn linear_tile(
    arch: Arch,
    (x, first): (Input<'_>, usize),
    weight: &RowMajor,
    bias: Option<&[f32]>,
    tile: &Tile,
    out: SharedRows<f32>,
    then: OnTile,
) {
    // SAFETY: the caller's promise.
    unsafe { product(x, first, weight, tile, out, then) };
    for row in tile.rows.clone() {
        // SAFETY: as above.
        let out = unsafe { out.row(row, tile.columns.clone()) };
        let bias = bias.map(|b| &b[tile.columns.clone()]);
        arch.dispatch(BiasGelu { out, bias, gelu: then == OnTile::Gelu });
    }
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
    let outputs = tile.columns.clone();
    let width = if weight.values.as_f32().is_some() { outputs.len() } else { WIDENED_OUTPUTS };
    WIDENED.with_borrow_mut(|scratch| {
        for start in outputs.clone().step_by(width.max(1)) {
            let part = start..outputs.end.min(start + width);
            let right = weight.values.widened(part.start * inner..part.end * inner, scratch);
            // SAFETY: the first element of this part of the tile, inside the matrix by `row`'s assertion.
            let out = unsafe { shared.row(tile.rows.start, part) }.as_mut_ptr();
            // SAFETY: the tile's rows and columns lie inside the matrix, `stride` apart, and are this
            // thread's alone.
            unsafe { multiply(left, right, out, shared.stride(), then == OnTile::Add) };
        }
    });
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

#[cfg(test)]
mod tests {
    use super::Weights;
    use crate::{Backend, Cpu, Linear};
    use std::num::NonZeroUsize;

    /// Values that bfloat16 holds, or with `step` 2^-10 float16 alone.
    fn values(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i * 7_919 % 255) as f32 - 127.0).map(|v| v + step).collect()
    }

    #[test]
    fn weights_in_16_bits_change_no_bit_of_a_product() {
        for (rows, inputs, outputs) in [(300, 320, 960), (257, 1280, 330), (5, 48, 16), (1, 33, 1)] {
            let x = values(rows * inputs, 0.1);
            for (step, threads) in [(0.0, 1), (0.25, 2), (0.0, 3)] {
                let cpu = Cpu::new(NonZeroUsize::new(threads)).unwrap();
                let x = cpu.tensor(rows, inputs, &x).unwrap();
                let weight = values(outputs * inputs, step);
                let halves = cpu.matrix(outputs, inputs, weight.clone()).unwrap();
                let Weights::Rows(kept) = &halves.0 else { panic!("a float32 matrix is rows") };
                assert!(kept.values.as_f32().is_none(), "kept in float32");
                assert_eq!(halves.table("embed").unwrap().1, weight);
                let whole = cpu.table(outputs, inputs, weight).unwrap();
                let bias = Some(vec![0.5; outputs]);
                let [halves, whole] = [halves, whole].map(|weight| {
                    let layer = Linear { norm: None, weight, bias: bias.clone() };
                    let residual = cpu.tensor(rows, outputs, &vec![0.25; rows * outputs]).unwrap();
                    let gelu = cpu.linear(&x, &layer, crate::Epilogue::Gelu).unwrap();
                    let added = cpu.linear(&x, &layer, crate::Epilogue::Add(residual)).unwrap();
                    [gelu, added].map(|y| y.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>())
                });
                assert!(halves == whole, "{rows} x {inputs} x {outputs}, step {step}, {threads} threads");
            }
        }
    }
}
