//! Products with float32 weights, and what follows each sum while it is in a register.

use super::lines::Lines;
use super::math::gelu;
use super::microkernel::{PanelValues, sums};
use super::panels::{F32Panels, PANEL};
use super::tiles::{Cut, OnTile, SharedRows, Tile};
use pulp::{Arch, Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

/// Columns whose weights pass by together: two panels.
const COLUMNS: usize = 2 * PANEL;

/// Most inputs that are added up in registers. Weights of as many inputs stay near while all rows of a tile
/// pass by, and a sum of several such parts has a smaller rounding error than one of all inputs.
const MOST_INPUTS: usize = 512;

/// How products are cut: a tile's rows stay in a core's second-level cache while all its weights pass by.
/// There are several tiles for each thread, because a virtual core can be slower than others, and all threads
/// wait for its last tile (BENCHMARKS.md, by threads).
pub(super) const CUT: Cut = Cut { rows: 192, columns: COLUMNS, tiles_a_thread: 8 };

/// What the rows of a block are a multiple of: rows that every instruction set takes together.
pub(super) const BLOCK_ROWS: usize = 48;

thread_local! {
    /// Weights that a thread has widened.
    static WIDENED: RefCell<Lines> = RefCell::default();
}

/// float32 values that a thread keeps of weights in 16 bits.
pub(super) const WIDENED_VALUES: usize = COLUMNS * MOST_INPUTS;

/// float32 values that this thread keeps of weights in 16 bits now.
#[cfg(test)]
pub(super) fn widened_values() -> usize {
    WIDENED.with_borrow(Lines::len)
}

/// What a product reads: rows as long as its weight's, `stride` values from row to row. Rows overlap where
/// `stride` is less: windows of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

/// One tile of `x · weightᵀ + bias`, then `then`, into `target`, `[rows, outputs]`; it reads the rows of `x`
/// from `first` on.
///
/// # Safety
///
/// What `target` is made of is borrowed until this returns, and nothing else reads or writes the tile.
pub(super) unsafe fn product(
    arch: Arch,
    (x, first): (Input<'_>, usize),
    (weight, bias): (&F32Panels, Option<&[f32]>),
    then: OnTile,
    target: SharedRows<f32>,
    tile: &Tile,
) {
    let x = Input { values: &x.values[first * x.stride..], stride: x.stride };
    WIDENED.with_borrow_mut(|widened| {
        arch.dispatch(TileProduct { x, weight, bias, then, target, tile, widened });
    });
}

/// A tile of a product. It is made in [`product`] alone, whose caller answers for `target`.
struct TileProduct<'a> {
    /// From the tile's first row on.
    x: Input<'a>,
    weight: &'a F32Panels,
    bias: Option<&'a [f32]>,
    then: OnTile,
    target: SharedRows<f32>,
    tile: &'a Tile,
    widened: &'a mut Lines,
}

impl WithSimd for TileProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for column in self.tile.columns.clone().step_by(COLUMNS) {
            let end = self.tile.columns.end.min(column + COLUMNS);
            if S::F32_LANES == PANEL && end - column > PANEL {
                self.columns::<S, 2, 2, 12, 4>(simd, column..end);
                continue;
            }
            for column in (column..end).step_by(PANEL) {
                let panel = column..end.min(column + PANEL);
                // The vectors of a panel, and rows whose sums fit the registers beside them.
                match S::F32_LANES {
                    16 => self.columns::<S, 1, 1, 12, 4>(simd, panel),
                    8 => self.columns::<S, 2, 1, 6, 2>(simd, panel),
                    4 if S::REGISTER_COUNT >= 32 => self.columns::<S, 4, 1, 6, 2>(simd, panel),
                    4 => self.columns::<S, 4, 1, 2, 1>(simd, panel),
                    2 => self.columns::<S, 8, 1, 1, 1>(simd, panel),
                    _ => self.columns::<S, PANEL, 1, 1, 1>(simd, panel),
                }
            }
        }
    }
}

impl TileProduct<'_> {
    /// Columns of the tile, `PANELS` panels: `ROWS` rows at a time, and the last ones `FEW` at a time.
    #[inline(always)]
    fn columns<S: Simd, const V: usize, const PANELS: usize, const ROWS: usize, const FEW: usize>(
        &mut self,
        simd: S,
        columns: Range<usize>,
    ) {
        let mut bias = [0.0; COLUMNS];
        if let Some(values) = self.bias {
            bias[..columns.len()].copy_from_slice(&values[columns.clone()]);
        }
        let (inputs, rows) = (self.weight.inputs, self.tile.rows.len());
        let parts = inputs.div_ceil(MOST_INPUTS).max(1);
        let of_part = inputs.div_ceil(parts);
        for part in 0..parts {
            let range = part * of_part..inputs.min((part + 1) * of_part);
            let panels = self.weight.part(columns.start / PANEL, PANELS, range.clone(), self.widened);
            let is_last = part + 1 == parts;
            let block = ColumnBlock {
                x: self.x,
                input: range.start,
                panels,
                adds: part > 0 || self.then == OnTile::Add,
                bias: is_last.then_some(&bias),
                gelu: is_last && self.then == OnTile::Gelu,
                target: self.target,
                first: self.tile.rows.start,
                columns: columns.clone(),
            };
            let mut row = 0;
            while row + ROWS <= rows {
                block.rows::<S, V, PANELS, ROWS>(simd, row, ROWS);
                row += ROWS;
            }
            while row < rows {
                let count = FEW.min(rows - row);
                block.rows::<S, V, PANELS, FEW>(simd, row, count);
                row += count;
            }
        }
    }
}

/// Columns of a tile, by a part of the inputs.
struct ColumnBlock<'a> {
    x: Input<'a>,
    /// The first input.
    input: usize,
    panels: PanelValues<'a>,
    /// Whether the sums are added to the target's values.
    adds: bool,
    /// Added with the last part of the inputs.
    bias: Option<&'a [f32; COLUMNS]>,
    gelu: bool,
    target: SharedRows<f32>,
    /// The tile's first row, and the columns.
    first: usize,
    columns: Range<usize>,
}

impl ColumnBlock<'_> {
    /// `count` rows of the tile from `row` on, at most `ROWS`.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const PANELS: usize, const ROWS: usize>(
        &self,
        simd: S,
        row: usize,
        count: usize,
    ) {
        // The last row again for those that are missing, whose sums are not read.
        let starts: [usize; ROWS] =
            std::array::from_fn(|i| (row + i.min(count - 1)) * self.x.stride + self.input);
        let sums = sums::<S, V, PANELS, ROWS>(simd, self.x.values, starts, self.panels);
        for (i, sums) in sums.iter().enumerate().take(count) {
            // SAFETY: the part lies in the tile, which is this thread's alone while `product` runs.
            let out = unsafe { self.target.row(self.first + row + i, self.columns.clone()) };
            self.finish::<S, V>(simd, sums, out);
        }
    }

    /// Writes the sums of a row, with what follows them.
    #[inline(always)]
    fn finish<S: Simd, const V: usize>(&self, simd: S, sums: &[S::f32s; V], out: &mut [f32]) {
        let (bias, _) = S::as_simd_f32s(self.bias.unwrap_or(&[0.0; COLUMNS]));
        if out.len() == V * S::F32_LANES {
            for ((out, sum), bias) in S::as_mut_simd_f32s(out).0.iter_mut().zip(sums).zip(bias) {
                *out = self.finished(simd, *sum, *out, *bias);
            }
        } else {
            for ((out, sum), bias) in out.chunks_mut(S::F32_LANES).zip(sums).zip(bias) {
                let value = self.finished(simd, *sum, simd.partial_load_f32s(out), *bias);
                simd.partial_store_f32s(out, value);
            }
        }
    }

    /// Not a closure, which would be compiled without the vectors' instructions.
    #[inline(always)]
    fn finished<S: Simd>(&self, simd: S, sum: S::f32s, before: S::f32s, bias: S::f32s) -> S::f32s {
        let sum = if self.adds { simd.add_f32s(before, sum) } else { sum };
        let sum = if self.bias.is_some() { simd.add_f32s(sum, bias) } else { sum };
        if self.gelu { gelu(simd, sum) } else { sum }
    }
}

#[cfg(test)]
mod tests {
    use super::super::team::Team;
    use super::*;
    use crate::{Backend, Cpu, CpuTensor, Epilogue, Linear};
    use std::num::NonZeroUsize;

    /// Values that bfloat16 holds, or with `step` 0.25 float16 alone.
    fn values(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i * 7_919 % 255) as f32 - 127.0).map(|v| v + step).collect()
    }

    /// The bits of the first columns of a product with GELU, and of one that is added.
    fn bits(cpu: &Cpu, x: &CpuTensor, weight: Vec<f32>, columns: usize) -> [Vec<u32>; 2] {
        let outputs = weight.len() / x.columns;
        let weight = cpu.matrix(outputs, x.columns, weight).unwrap();
        let layer = Linear { norm: None, weight, bias: Some(vec![0.5; outputs]) };
        let residual = cpu.tensor(x.rows, outputs, &vec![0.25; x.rows * outputs]).unwrap();
        let gelu = cpu.linear(x, &layer, Epilogue::Gelu).unwrap();
        let added = cpu.linear(x, &layer, Epilogue::Add(residual)).unwrap();
        [gelu, added].map(|y| {
            y.values().chunks(outputs).flat_map(|row| &row[..columns]).map(|v| v.to_bits()).collect()
        })
    }

    #[test]
    fn weights_in_16_bits_change_no_bit_of_a_product() {
        for (rows, inputs, outputs) in [(300, 320, 960), (257, 1280, 330), (5, 48, 16), (1, 33, 1)] {
            let x = values(rows * inputs, 0.1);
            for (step, threads) in [(0.0, 1), (0.25, 2), (0.0, 3)] {
                let cpu = Cpu::new(NonZeroUsize::new(threads)).unwrap();
                let x = cpu.tensor(rows, inputs, &x).unwrap();
                let halves = values(outputs * inputs, step);
                let panels = F32Panels::pack(&Team::new(None).unwrap(), outputs, inputs, halves.clone());
                assert!(panels.is_in_16_bits(), "{rows} x {inputs} x {outputs}, step {step}");
                // One more output, whose weights need 32 bits.
                let mut whole = halves.clone();
                whole.resize((outputs + 1) * inputs, 0.1);
                let [halves, whole] = [halves, whole].map(|weight| bits(&cpu, &x, weight, outputs));
                assert!(halves == whole, "{rows} x {inputs} x {outputs}, step {step}, {threads} threads");
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_whatever_rows_it_is_multiplied_with() {
        let (rows, inputs, outputs) = (31, 1100, 50);
        let cpu = Cpu::new(NonZeroUsize::new(1)).unwrap();
        let (x, weight) = (values(rows * inputs, 0.1), values(outputs * inputs, 0.3));
        let all = bits(&cpu, &cpu.tensor(rows, inputs, &x).unwrap(), weight.clone(), outputs);
        for count in [1, 2, 4, 5, 12, 17, 24] {
            let some = cpu.tensor(count, inputs, &x[..count * inputs]).unwrap();
            let some = bits(&cpu, &some, weight.clone(), outputs);
            for (all, some) in all.iter().zip(some) {
                assert!(all[..count * outputs] == some, "{count} rows");
            }
        }
    }

    #[test]
    fn products_are_those_of_float64() {
        for (rows, inputs, outputs) in [(7, 1, 1), (13, 513, 31), (50, 1030, 33), (5, 640, 48), (1, 96, 17)] {
            let cpu = Cpu::new(NonZeroUsize::new(2)).unwrap();
            let (x, weight) = (values(rows * inputs, 0.1), values(outputs * inputs, 0.3));
            let product = cpu
                .product(
                    &cpu.tensor(rows, inputs, &x).unwrap(),
                    &cpu.matrix(outputs, inputs, weight.clone()).unwrap(),
                    None,
                )
                .unwrap();
            for (row, x) in product.values().chunks(outputs).zip(x.chunks(inputs)) {
                for (y, weight) in row.iter().zip(weight.chunks(inputs)) {
                    let terms = x.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w));
                    let (exact, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
                    let bound = 1e-6 * size + 1e-3;
                    assert!((f64::from(*y) - exact).abs() < bound, "{y} is not {exact}");
                }
            }
        }
    }

    /// A product with GELU by the vectors of `simd`.
    fn by<S: Simd>(simd: S, (x, rows): (&[f32], usize), weight: &F32Panels, bias: &[f32]) -> Vec<f32> {
        let (inputs, outputs) = (weight.inputs, weight.outputs);
        let mut out = vec![f32::NAN; rows * outputs];
        simd.vectorize(TileProduct {
            x: Input { values: x, stride: inputs },
            weight,
            bias: Some(bias),
            then: OnTile::Gelu,
            target: SharedRows::new(&mut out, outputs),
            tile: &Tile { rows: 0..rows, columns: 0..outputs },
            widened: &mut Lines::default(),
        });
        out
    }

    #[test]
    fn vectors_of_every_length_give_the_same_product() {
        let team = Team::new(None).unwrap();
        for (rows, inputs, outputs) in [(1, 1, 1), (7, 513, 31), (13, 40, 33), (26, 640, 64), (53, 96, 49)] {
            let x = values(rows * inputs, 0.1).iter().map(|v| v / 128.0).collect::<Vec<_>>();
            let weight = values(outputs * inputs, 0.3).iter().map(|v| v / 2048.0).collect::<Vec<_>>();
            let weight = F32Panels::pack(&team, outputs, inputs, weight);
            let (x, bias) = ((&x[..], rows), &values(outputs, 0.7)[..]);
            let all = [
                Some(by(pulp::Scalar, x, &weight, bias)),
                Some(by(pulp::Scalar128b, x, &weight, bias)),
                Some(by(pulp::Scalar256b, x, &weight, bias)),
                Some(by(pulp::Scalar512b, x, &weight, bias)),
                #[cfg(target_arch = "x86_64")]
                pulp::x86::V3::try_new().map(|simd| by(simd, x, &weight, bias)),
                #[cfg(target_arch = "x86_64")]
                pulp::x86::V4::try_new().map(|simd| by(simd, x, &weight, bias)),
                #[cfg(target_arch = "aarch64")]
                pulp::aarch64::Neon::try_new().map(|simd| by(simd, x, &weight, bias)),
            ];
            let all: Vec<Vec<f32>> = all.into_iter().flatten().collect();
            for (way, values) in all.iter().enumerate() {
                for (value, first) in values.iter().zip(&all[0]) {
                    assert!((value - first).abs() < 1e-4, "way {way}, {rows} rows: {value} is not {first}");
                }
            }
        }
    }

    #[test]
    fn a_table_is_not_multiplied() {
        let cpu = Cpu::new(None).unwrap();
        let table = cpu.table(2, 3, vec![1.0; 6]).unwrap();
        let error = cpu.product(&cpu.tensor(1, 3, &[1.0; 3]).unwrap(), &table, None).unwrap_err();
        assert!(error.to_string().contains("a table [2, 3]"), "{error}");
    }
}
