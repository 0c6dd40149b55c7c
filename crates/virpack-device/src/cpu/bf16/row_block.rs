//! Blocks of rows in bfloat16 ([`super::super::blocks`]).

use super::super::blocks::{self, BlockLayer};
use super::super::lines::Lines;
use super::super::norm::NormRow;
use super::super::tiles::{OnTile, SharedRows, Tile};
use super::linear::{Destination, product};
use super::panels::Bf16Panels;
use super::rows::{NarrowRow, NormAndNarrow};
use super::{BLOCK_ROWS, Kernel, Rows, memory, padded, stride};
use crate::LayerNorm;
use std::cell::RefCell;
use std::ops::Range;

/// Bytes that a block's rows may take of a core's second-level cache, which weights pass through meanwhile.
const CACHE: usize = 5 << 18;

/// Most rows of a block.
const MOST_ROWS: usize = 256;

/// Rows in bfloat16 between two operations of a thread, kept from block to block.
#[derive(Default)]
struct Between {
    /// A row in float32 before it is rounded.
    row: Vec<f32>,
    normed: Lines,
    hidden: Lines,
}

thread_local! {
    static BETWEEN: RefCell<Between> = RefCell::default();
}

/// Returns the rows of each block, which go through tensors of these `widths` in bfloat16. None where there
/// are too few for all threads.
pub(crate) fn blocks(rows: usize, threads: usize, widths: &[usize]) -> Option<Vec<Range<usize>>> {
    blocks::blocks(rows, threads, block_rows(widths), BLOCK_ROWS)
}

/// Most rows of a block.
fn block_rows(widths: &[usize]) -> usize {
    let bytes: usize = widths.iter().map(|width| 2 * stride(*width)).sum();
    (CACHE / bytes.max(1) / BLOCK_ROWS * BLOCK_ROWS).clamp(BLOCK_ROWS, MOST_ROWS)
}

/// Returns the float32 values that a thread keeps for the blocks of a model whose products have these shapes,
/// `[outputs, inputs]`. Products with fewer outputs than inputs have no norm, and are no first layer of a
/// feed-forward part.
pub(crate) fn scratch(products: &[[usize; 2]]) -> usize {
    let shapes = products.iter().filter(|[outputs, inputs]| outputs >= inputs);
    let normed = shapes.clone().map(|[_, inputs]| inputs + memory(block_rows(&[*inputs]), *inputs));
    let hidden = shapes.map(|[outputs, inputs]| memory(block_rows(&[*inputs, *outputs]), *outputs));
    normed.max().unwrap_or(0) + hidden.max().unwrap_or(0)
}

/// Takes rows of `x`, `[rows, inputs]`, through a linear layer into `target`, `[rows, outputs]`.
///
/// # Safety
///
/// What `target` is made of is borrowed, and no other thread reads or writes these rows.
pub(crate) unsafe fn linear(
    kernel: Kernel,
    rows: Range<usize>,
    x: &[f32],
    layer: BlockLayer<'_, Bf16Panels>,
    then: OnTile,
    target: Destination,
) {
    BETWEEN.with_borrow_mut(|Between { row, normed, .. }| {
        let x = &x[rows.start * layer.weight.inputs..];
        let input = prepare(kernel, rows.len(), x, layer, row, normed);
        let tile = Tile { rows: rows.clone(), columns: 0..layer.weight.outputs };
        // SAFETY: the caller's promise.
        unsafe { product(kernel, (input, rows.start), (layer.weight, layer.bias), then, target, &tile) };
    });
}

/// Takes rows of `x`, `[rows, inputs of up]`, through `x + down(gelu(up(x)))`.
///
/// # Safety
///
/// As [`linear`], of `x`.
pub(crate) unsafe fn feed_forward(
    kernel: Kernel,
    rows: Range<usize>,
    x: SharedRows<f32>,
    [up, down]: [BlockLayer<'_, Bf16Panels>; 2],
) {
    BETWEEN.with_borrow_mut(|Between { row, normed, hidden }| {
        let (count, width) = (rows.len(), up.weight.outputs);
        // SAFETY: the caller's promise; the part is given up before the product adds to these rows.
        let values = unsafe { x.rows(rows.clone()) };
        let input = prepare(kernel, count, values, up, row, normed);
        hidden.at_least(memory(count, width));
        zero_padding(hidden, count, width);
        let tile = Tile { rows: 0..count, columns: 0..width };
        let out = Destination::Write(SharedRows::new(hidden.u16s_mut(), stride(width)));
        // SAFETY: `hidden` is this thread's.
        unsafe { product(kernel, (input, 0), (up.weight, up.bias), OnTile::Gelu, out, &tile) };
        let input = Rows { values: hidden.u16s(), stride: stride(width) };
        let tile = Tile { rows: rows.clone(), columns: 0..down.weight.outputs };
        let out = Destination::Add(x);
        // SAFETY: the caller's promise.
        unsafe { product(kernel, (input, rows.start), (down.weight, down.bias), OnTile::Add, out, &tile) };
    });
}

/// Returns the rows that a layer's product reads: `x` from its first row on, normed where the layer has a
/// norm.
fn prepare<'a>(
    kernel: Kernel,
    count: usize,
    x: &[f32],
    layer: BlockLayer<'_, Bf16Panels>,
    row: &mut Vec<f32>,
    normed: &'a mut Lines,
) -> Rows<'a> {
    let columns = layer.weight.inputs;
    row.resize(columns, 0.0);
    normed.at_least(memory(count, columns));
    zero_padding(normed, count, columns);
    let rows = normed.u16s_mut().chunks_exact_mut(stride(columns));
    for (out, x) in rows.zip(x.chunks_exact(columns)).take(count) {
        let out = &mut out[..columns];
        match layer.norm {
            Some(LayerNorm { weight, bias, eps }) => {
                let norm = NormRow { x, weight, bias, eps: *eps, out: row };
                kernel.arch().dispatch(NormAndNarrow { norm, out });
            }
            None => kernel.arch().dispatch(NarrowRow { x, out }),
        }
    }
    Rows { values: normed.u16s(), stride: stride(columns) }
}

/// Writes zeros to the columns that products read beyond a row's last.
fn zero_padding(rows: &mut Lines, count: usize, columns: usize) {
    if padded(columns) > columns {
        for row in rows.u16s_mut().chunks_exact_mut(stride(columns)).take(count) {
            row[columns..].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::team::Team;
    use super::super::Bf16Instructions;
    use super::*;
    use pulp::Arch;

    #[test]
    fn a_block_fits_the_cache_unless_it_is_the_smallest() {
        for (hidden, rows) in [(320, 256), (640, 192), (1280, 96), (2560, 32), (5120, 32)] {
            assert_eq!(block_rows(&[hidden, 4 * hidden]), rows);
        }
    }

    #[test]
    fn a_thread_keeps_what_was_predicted() {
        let (team, kernel) =
            (Team::new(None).unwrap(), Kernel::new(Arch::new(), Bf16Instructions::fastest()));
        let norm = LayerNorm { weight: vec![1.0; 640], bias: vec![0.0; 640], eps: 1e-5 };
        let shapes = [[1920, 640], [640, 640], [2560, 640], [640, 2560]];
        let weights = shapes
            .map(|[outputs, inputs]| Bf16Panels::pack(&team, outputs, inputs, &vec![0.01; outputs * inputs]));
        let [qkv, _, up, down] =
            weights.each_ref().map(|weight| BlockLayer { norm: Some(&norm), weight, bias: None });
        let x = vec![1.0; 256 * 640];
        let (mut together, mut out) = (x.clone(), vec![0; 256 * stride(1920)]);
        let target = Destination::Write(SharedRows::new(&mut out, stride(1920)));
        let shared = SharedRows::new(&mut together, 640);
        // SAFETY: this thread alone works on these rows.
        unsafe {
            linear(kernel, 0..block_rows(&[640]), &x, qkv, OnTile::Nothing, target);
            feed_forward(kernel, 0..block_rows(&[640, 2560]), shared, [up, down]);
        }
        let kept = BETWEEN.with_borrow(|kept| kept.row.len() + kept.normed.len() + kept.hidden.len());
        assert_eq!(scratch(&shapes), kept);
    }
}
