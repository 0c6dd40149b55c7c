//! The primitives on the CPU in float32, as [`super::backend`] calls them.

use super::attention::{self, HeadTask};
use super::blocks::{BlockLayer, FeedForward, PackedWeight, blocks};
use super::clock::Kind;
use super::linear::Weights;
use super::panels::F32Panels;
use super::product::{BLOCK_ROWS, CUT, Input, product};
use super::rotary::RotaryTable;
use super::row_block::{self, MOST_ROWS};
use super::tiles::{OnTile, SharedRows, Tile, tiles};
use super::{Cpu, CpuPacked, CpuTensor};
use crate::{Attention, Backend, DeviceError, Epilogue, LayerNorm, LinearOf, shapes};
use std::ops::Range;

impl Cpu {
    /// Returns a linear layer.
    pub(super) fn f32_linear(
        &self,
        x: &CpuTensor,
        norm: Option<&LayerNorm<Vec<f32>>>,
        weight: &F32Panels,
        bias: Option<&Vec<f32>>,
        then: Epilogue<'_, Cpu>,
    ) -> Result<CpuTensor, DeviceError> {
        let blocks = norm.and_then(|_| self.f32_blocks(x.rows));
        let normed = match norm {
            Some(norm) if blocks.is_none() => Some(self.layer_norm(x, norm)?),
            _ => None,
        };
        let product = |then, out| match &blocks {
            Some(blocks) => {
                let layer = BlockLayer { norm, weight, bias: bias.map(Vec::as_slice) };
                self.f32_linear_blocks(x, layer, blocks, then, out)
            }
            None => self.f32_product_into(normed.as_ref().unwrap_or(x), weight, bias, then, out),
        };
        let out = || self.buffers.tensor(x.rows, weight.outputs);
        match then {
            Epilogue::Gelu => product(OnTile::Gelu, out()),
            Epilogue::Add(residual) => product(OnTile::Add, residual),
            other => other.apply(self, product(OnTile::Nothing, out())?),
        }
    }

    /// Returns `x · weightᵀ + bias`, then what follows, into `out`.
    pub(super) fn f32_product_into(
        &self,
        x: &CpuTensor,
        weight: &F32Panels,
        bias: Option<&Vec<f32>>,
        then: OnTile,
        mut out: CpuTensor,
    ) -> Result<CpuTensor, DeviceError> {
        let out_shape = [out.rows, out.columns];
        shapes::linear([x.rows, x.columns], weight.shape(), bias.map(Vec::len), out_shape)?;
        let tiles = tiles(x.rows, weight.outputs, self.threads(), CUT);
        let (input, bias) = (Input { values: x.values(), stride: x.columns }, bias.map(Vec::as_slice));
        self.f32_tiles(&tiles, (input, |row| row), (weight, bias), then, &mut out);
        Ok(out)
    }

    /// Computes `x · weightᵀ + bias` into `out`, then what follows, by `tiles` of `out`. `place` is where in
    /// `x` the rows of a tile begin, by its first row.
    pub(super) fn f32_tiles(
        &self,
        tiles: &[Tile],
        (x, place): (Input<'_>, impl Fn(usize) -> usize + Sync),
        layer: (&F32Panels, Option<&[f32]>),
        then: OnTile,
        out: &mut CpuTensor,
    ) {
        let columns = out.columns;
        let target = SharedRows::new(out.values_mut(), columns);
        self.on_threads(Kind::Products, tiles.len(), |i| {
            let tile = &tiles[i];
            // SAFETY: `out` is borrowed until every tile is done, and tiles do not overlap.
            unsafe { product(self.arch, (x, place(tile.rows.start)), layer, then, target, tile) };
        });
    }

    /// Returns the blocks of so many rows; None where they are too few for all threads.
    fn f32_blocks(&self, rows: usize) -> Option<Vec<Range<usize>>> {
        blocks(rows, self.threads(), MOST_ROWS, BLOCK_ROWS)
    }

    /// Returns a linear layer into `out`, by blocks of rows.
    fn f32_linear_blocks(
        &self,
        x: &CpuTensor,
        layer: BlockLayer<'_, F32Panels>,
        blocks: &[Range<usize>],
        then: OnTile,
        mut out: CpuTensor,
    ) -> Result<CpuTensor, DeviceError> {
        layer.check([x.rows, x.columns], [out.rows, out.columns])?;
        let (values, columns) = (x.values(), out.columns);
        let target = SharedRows::new(out.values_mut(), columns);
        self.on_threads(Kind::Products, blocks.len(), |i| {
            // SAFETY: `out` is this function's own until the product is done, and blocks do not overlap.
            unsafe { row_block::linear(self.arch, blocks[i].clone(), values, layer, then, target) };
        });
        Ok(out)
    }

    /// Returns a feed-forward part by blocks of rows in float32; None where rows are too few, or weights are
    /// not in float32.
    pub(super) fn f32_feed_forward_part<'a>(
        &self,
        rows: usize,
        layers: [&'a LinearOf<Cpu>; 2],
    ) -> Option<FeedForward<'a, F32Panels>> {
        let layers = FeedForward::layers(layers, Weights::as_f32)?;
        Some(FeedForward { layers, blocks: self.f32_blocks(rows)? })
    }

    /// Returns `x + down(gelu(up(x)))`, by blocks of rows.
    pub(super) fn f32_feed_forward(
        &self,
        mut x: CpuTensor,
        part: &FeedForward<'_, F32Panels>,
    ) -> Result<CpuTensor, DeviceError> {
        let (blocks, columns) = (&part.blocks, x.columns);
        part.check([x.rows, columns])?;
        let shared = SharedRows::new(x.values_mut(), columns);
        self.on_threads(Kind::Products, blocks.len(), |i| {
            // SAFETY: `x` is this function's own until all blocks are done, which do not overlap.
            unsafe { row_block::feed_forward(self.arch, blocks[i].clone(), shared, part.layers) };
        });
        Ok(x)
    }

    /// Every head of every sequence, the long sequences first so that no thread is left with one at the end.
    pub(super) fn f32_attend(
        &self,
        qkv: &CpuTensor,
        packed: &CpuPacked,
        attention: &Attention<Vec<f32>>,
        rotary: Option<&RotaryTable>,
    ) -> Result<CpuTensor, DeviceError> {
        let (hidden, width) = packed.check_qkv(qkv, attention.heads)?;
        shapes::slopes(attention.heads, attention.alibi_slopes.as_ref().map(Vec::len))?;
        let mut out = self.buffers.tensor(qkv.rows, hidden);
        let shared = SharedRows::new(out.values_mut(), hidden);
        let sequences = packed.longest_first();
        let tasks: Vec<_> =
            sequences.iter().flat_map(|s| (0..attention.heads).map(move |h| (s.clone(), h))).collect();
        self.on_threads(Kind::Attention, tasks.len(), |i| {
            let (tokens, head) = tasks[i].clone();
            let task = HeadTask {
                qkv: qkv.values(),
                hidden,
                head,
                width,
                tokens,
                rotary,
                alibi_slope: attention.alibi_slopes.as_ref().map_or(0.0, |s| s[head]),
                out: shared,
            };
            attention::run(self.arch, task);
        });
        Ok(out)
    }
}
