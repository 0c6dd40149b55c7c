//! Blocks of float32 rows ([`super::blocks`]).

use super::blocks::BlockLayer;
use super::lines::{LINE_VALUES, Lines};
use super::norm::NormRow;
use super::panels::F32Panels;
use super::product::{Input, WIDENED_VALUES, product};
use super::tiles::{OnTile, SharedRows, Tile};
use pulp::Arch;
use std::cell::RefCell;
use std::ops::Range;

/// Most rows of a block. More of them read the weights less often, and weights are most of what a block
/// reads.
pub(super) const MOST_ROWS: usize = 192;

/// Rows between two operations of a thread, kept from block to block.
#[derive(Default)]
struct ThreadRows {
    normed: Lines,
    hidden: Lines,
}

thread_local! {
    static THREAD_ROWS: RefCell<ThreadRows> = RefCell::default();
}

/// Values from row to row of what a thread keeps: an odd number of cache lines, so that rows do not meet in
/// the same places of a cache.
fn stride(columns: usize) -> usize {
    (columns.div_ceil(LINE_VALUES) | 1) * LINE_VALUES
}

/// Returns the float32 values that a thread keeps for a model whose products have these shapes, `[outputs,
/// inputs]`. Products with fewer outputs than inputs have no norm, and are no first layer of a feed-forward
/// part.
pub(super) fn scratch(products: &[[usize; 2]]) -> usize {
    let shapes = products.iter().filter(|[outputs, inputs]| outputs >= inputs);
    let most = |width: fn(&[usize; 2]) -> usize| shapes.clone().map(width).map(stride).max().unwrap_or(0);
    MOST_ROWS * (most(|[_, inputs]| *inputs) + most(|[outputs, _]| *outputs)) + WIDENED_VALUES
}

/// Takes rows of `x`, `[rows, inputs]`, through a linear layer into `target`, `[rows, outputs]`.
///
/// # Safety
///
/// What `target` is made of is borrowed, and no other thread reads or writes these rows.
pub(super) unsafe fn linear(
    arch: Arch,
    rows: Range<usize>,
    x: &[f32],
    layer: BlockLayer<'_, F32Panels>,
    then: OnTile,
    target: SharedRows<f32>,
) {
    THREAD_ROWS.with_borrow_mut(|ThreadRows { normed, .. }| {
        let x = &x[rows.start * layer.weight.inputs..];
        let input = prepare(arch, rows.len(), x, layer, normed);
        let tile = Tile { rows, columns: 0..layer.weight.outputs };
        // SAFETY: the caller's promise.
        unsafe { product(arch, (input, 0), (layer.weight, layer.bias), then, target, &tile) };
    });
}

/// Takes rows of `x`, `[rows, inputs of up]`, through `x + down(gelu(up(x)))`.
///
/// # Safety
///
/// As [`linear`], of `x`.
pub(super) unsafe fn feed_forward(
    arch: Arch,
    rows: Range<usize>,
    x: SharedRows<f32>,
    [up, down]: [BlockLayer<'_, F32Panels>; 2],
) {
    THREAD_ROWS.with_borrow_mut(|ThreadRows { normed, hidden }| {
        let (count, width) = (rows.len(), up.weight.outputs);
        // SAFETY: the caller's promise; the part is given up before the product adds to these rows.
        let values = unsafe { x.rows(rows.clone()) };
        let input = prepare(arch, count, values, up, normed);
        hidden.at_least(count * stride(width));
        let out = SharedRows::new(hidden.f32s_mut(), stride(width));
        let tile = Tile { rows: 0..count, columns: 0..width };
        // SAFETY: `hidden` is this thread's.
        unsafe { product(arch, (input, 0), (up.weight, up.bias), OnTile::Gelu, out, &tile) };
        let input = Input { values: hidden.f32s(), stride: stride(width) };
        let tile = Tile { rows, columns: 0..down.weight.outputs };
        // SAFETY: the caller's promise.
        unsafe { product(arch, (input, 0), (down.weight, down.bias), OnTile::Add, x, &tile) };
    });
}

/// Returns the rows that a layer's product reads: `x`, normed where the layer has a norm.
fn prepare<'a>(
    arch: Arch,
    count: usize,
    x: &'a [f32],
    layer: BlockLayer<'_, F32Panels>,
    normed: &'a mut Lines,
) -> Input<'a> {
    let columns = layer.weight.inputs;
    let Some(norm) = layer.norm else { return Input { values: x, stride: columns } };
    let (weight, bias, eps) = (&norm.weight, &norm.bias, norm.eps);
    normed.at_least(count * stride(columns));
    let rows = normed.f32s_mut().chunks_exact_mut(stride(columns));
    for (out, x) in rows.zip(x.chunks_exact(columns)).take(count) {
        arch.dispatch(NormRow { x, weight, bias, eps, out: &mut out[..columns] });
    }
    Input { values: normed.f32s(), stride: stride(columns) }
}

#[cfg(test)]
mod tests {
    use super::super::product::widened_values;
    use super::super::team::Team;
    use super::*;
    use crate::LayerNorm;

    #[test]
    fn a_thread_keeps_what_was_predicted() {
        let (team, arch) = (Team::new(None).unwrap(), Arch::new());
        let norm = LayerNorm { weight: vec![1.0; 640], bias: vec![0.0; 640], eps: 1e-5 };
        let shapes = [[1920, 640], [640, 640], [2560, 640], [640, 2560]];
        let weights = shapes
            .map(|[outputs, inputs]| F32Panels::pack(&team, outputs, inputs, vec![0.5; outputs * inputs]));
        let [qkv, _, up, down] =
            weights.each_ref().map(|weight| BlockLayer { norm: Some(&norm), weight, bias: None });
        let x = vec![1.0; MOST_ROWS * 640];
        let (mut together, mut out) = (x.clone(), vec![0.0; MOST_ROWS * 1920]);
        let target = SharedRows::new(&mut out, 1920);
        let shared = SharedRows::new(&mut together, 640);
        // SAFETY: this thread alone works on these rows.
        unsafe {
            linear(arch, 0..MOST_ROWS, &x, qkv, OnTile::Nothing, target);
            feed_forward(arch, 0..MOST_ROWS, shared, [up, BlockLayer { norm: None, ..down }]);
        }
        let kept = THREAD_ROWS.with_borrow(|kept| kept.normed.len() + kept.hidden.len());
        assert_eq!(scratch(&shapes), kept + widened_values());
    }
}
