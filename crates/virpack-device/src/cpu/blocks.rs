//! Rows that one thread takes through several operations.
//!
//! Threads that meet after each operation wait for the last of them each time, and what one operation hands
//! to the next goes by way of a cache that all cores share. A block of rows goes through a norm and a
//! product, or through a whole feed-forward part, without either. The operations on a row are the same, so
//! that no bit changes.

use super::Cpu;
use super::linear::Weights;
use crate::{DeviceError, LayerNorm, LinearOf, shapes};
use std::ops::Range;

/// A linear layer that a block goes through, its weights in the layout `W`.
#[derive(Debug)]
pub(crate) struct BlockLayer<'a, W> {
    pub(crate) norm: Option<&'a LayerNorm<Vec<f32>>>,
    pub(crate) weight: &'a W,
    pub(crate) bias: Option<&'a [f32]>,
}

/// Weights in a layout of products.
pub(crate) trait PackedWeight {
    /// `[outputs, inputs]`.
    fn shape(&self) -> [usize; 2];
}

impl<W: PackedWeight> BlockLayer<'_, W> {
    /// Checks its sizes, and those of its inputs and its result.
    pub(crate) fn check(&self, x: [usize; 2], out: [usize; 2]) -> Result<(), DeviceError> {
        if let Some(norm) = self.norm {
            shapes::layer_norm(x[1], norm.weight.len(), norm.bias.len())?;
        }
        shapes::linear(x, self.weight.shape(), self.bias.map(<[f32]>::len), out)
    }
}

impl<W> Clone for BlockLayer<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for BlockLayer<'_, W> {}

/// The layers of a feed-forward part, `x + down(gelu(up(x)))`, and the blocks of rows that go through both.
pub(crate) struct FeedForward<'a, W> {
    pub(crate) layers: [BlockLayer<'a, W>; 2],
    pub(crate) blocks: Vec<Range<usize>>,
}

impl<'a, W: PackedWeight> FeedForward<'a, W> {
    /// Returns both layers, where `weight` finds their weights in the layout `W`.
    pub(crate) fn layers(
        layers: [&'a LinearOf<Cpu>; 2],
        weight: impl Fn(&'a Weights) -> Option<&'a W>,
    ) -> Option<[BlockLayer<'a, W>; 2]> {
        let [up, down] = layers.map(|layer| {
            let (norm, bias) = (layer.norm.as_ref(), layer.bias.as_deref());
            weight(&layer.weight.0).map(|weight| BlockLayer { norm, weight, bias })
        });
        Some([up?, down.filter(|down| down.norm.is_none())?])
    }

    /// Checks the sizes of both layers, and that of `x`, which is the result's.
    pub(crate) fn check(&self, x: [usize; 2]) -> Result<(), DeviceError> {
        let [up, down] = &self.layers;
        let hidden = [x[0], up.weight.shape()[0]];
        up.check(x, hidden)?;
        down.check(hidden, x)
    }
}

/// Returns the rows of each block, at most `most`; None where there are too few for all threads.
///
/// The first blocks are the largest, because each block reads all weights. A block has at most half of a
/// thread's share of the rows that are left, in multiples of `unit`, so that the last ones, which all threads
/// wait for, are small (`dev/cpu_bf16.md` has other sizes).
pub(crate) fn blocks(rows: usize, threads: usize, most: usize, unit: usize) -> Option<Vec<Range<usize>>> {
    if rows < 2 * unit * threads {
        return None;
    }
    let (mut blocks, mut first) = (Vec::new(), 0);
    while first < rows {
        let half = ((rows - first) / (2 * threads)).next_multiple_of(unit).max(unit);
        let end = rows.min(first + if threads == 1 { most } else { half.min(most) });
        blocks.push(first..end);
        first = end;
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_each_row_once_and_become_smaller() {
        for (most, unit) in [(192, 32), (192, 48), (48, 48)] {
            for rows in [64, 1_000, 4_096, 16_384] {
                for threads in [1, 2, 3, 16] {
                    let Some(blocks) = blocks(rows, threads, most, unit) else {
                        assert!(rows < 2 * unit * threads);
                        continue;
                    };
                    let mut next = 0;
                    for block in &blocks {
                        assert_eq!(block.start, next);
                        assert!(block.len() <= most);
                        next = block.end;
                    }
                    assert_eq!(next, rows);
                    assert!(blocks.is_sorted_by(|a, b| a.len() >= b.len()), "{blocks:?}");
                    assert!(threads == 1 || blocks.len() >= 2 * threads, "{rows} rows, {threads} threads");
                }
            }
        }
    }
}
