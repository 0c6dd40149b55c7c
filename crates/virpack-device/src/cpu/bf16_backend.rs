//! The primitives on the CPU in bfloat16, as [`super::backend`] calls them.

use super::bf16::attention::{self, QueryTask};
use super::bf16::linear::{CUT, Destination, product};
use super::bf16::panels::Bf16Panels;
use super::bf16::row_block::{self, blocks};
use super::bf16::rows::{GatedRow, NarrowRow, NormAndNarrow};
use super::bf16::{Kernel, Rows, stride, widen};
use super::blocks::{BlockLayer, FeedForward, PackedWeight};
use super::clock::Kind;
use super::linear::Weights;
use super::norm::NormRow;
use super::rotary::RotaryTable;
use super::tiles::{OnTile, SharedRows, tiles};
use super::{Cpu, CpuMatrix, CpuPacked, CpuTensor};
use crate::{Attention, Backend, DeviceError, Epilogue, LayerNorm, LinearOf, shapes};
use std::cell::RefCell;
use std::ops::Range;

thread_local! {
    /// A row in float32 before it is rounded.
    static ROW: RefCell<Vec<f32>> = RefCell::default();
}

/// Where a product's rows go.
fn destination(out: &mut CpuTensor, then: OnTile) -> Destination {
    let columns = out.columns;
    match then {
        OnTile::Add => Destination::Add(SharedRows::new(out.values_mut(), columns)),
        _ => Destination::Write(SharedRows::new(out.bf16_mut(), stride(columns))),
    }
}

impl Cpu {
    /// Weights for products in bfloat16.
    pub(super) fn panels(
        &self,
        rows: usize,
        columns: usize,
        values: &[f32],
    ) -> Result<CpuMatrix, DeviceError> {
        shapes::matrix(rows, columns, values.len())?;
        let panels = Bf16Panels::pack(&self.team, rows, columns, values);
        Ok(CpuMatrix(Weights::Bf16(panels)))
    }

    /// Returns the tensor in float32.
    pub(super) fn wide(&self, x: CpuTensor) -> CpuTensor {
        let Some(rows) = x.bf16() else { return x };
        let mut out = self.buffers.tensor(x.rows, x.columns);
        self.each_row(&mut out, |row, out| {
            for (o, v) in out.iter_mut().zip(rows.part(row, 0, x.columns)) {
                *o = widen(*v);
            }
        });
        out
    }

    /// Returns the tensor in bfloat16.
    pub(super) fn narrow(&self, x: CpuTensor) -> CpuTensor {
        if x.bf16().is_some() { x } else { self.rounded(&x) }
    }

    /// Returns a float32 tensor in bfloat16.
    fn rounded(&self, x: &CpuTensor) -> CpuTensor {
        let values = x.values();
        self.bf16_rows(x.rows, x.columns, |row, out| {
            let x = &values[row * x.columns..][..x.columns];
            self.arch.dispatch(NarrowRow { x, out });
        })
    }

    /// Returns a bfloat16 tensor whose rows `work` writes.
    pub(super) fn bf16_rows(
        &self,
        rows: usize,
        columns: usize,
        work: impl Fn(usize, &mut [u16]) + Sync,
    ) -> CpuTensor {
        let mut out = self.buffers.bf16_tensor(rows, columns);
        self.rows_of(out.bf16_mut(), stride(columns), |row, out| work(row, &mut out[..columns]));
        out
    }

    /// Returns what a product reads: `x`, normed where there is a norm; None where it is `x` as it is.
    fn input(
        &self,
        x: &CpuTensor,
        norm: Option<&LayerNorm<Vec<f32>>>,
    ) -> Result<Option<CpuTensor>, DeviceError> {
        let Some(LayerNorm { weight, bias, eps }) = norm else {
            return Ok(x.bf16().is_none().then(|| self.rounded(x)));
        };
        shapes::layer_norm(x.columns, weight.len(), bias.len())?;
        let values = x.values();
        Ok(Some(self.bf16_rows(x.rows, x.columns, |row, out| {
            ROW.with_borrow_mut(|wide| {
                wide.resize(x.columns, 0.0);
                let x = &values[row * x.columns..][..x.columns];
                let norm = NormRow { x, weight, bias, eps: *eps, out: wide };
                self.arch.dispatch(NormAndNarrow { norm, out });
            });
        })))
    }

    /// `gelu(gate) · value` of `[gate | value]`.
    pub(super) fn bf16_gated(&self, x: Rows, rows: usize, width: usize) -> CpuTensor {
        self.bf16_rows(rows, width, |row, out| {
            self.arch.dispatch(GatedRow { x: x.part(row, 0, 2 * width), out });
        })
    }

    /// Returns a linear layer: what is not added to float32 is written in bfloat16.
    pub(super) fn bf16_linear(
        &self,
        x: &CpuTensor,
        norm: Option<&LayerNorm<Vec<f32>>>,
        weight: &Bf16Panels,
        bias: Option<&Vec<f32>>,
        then: Epilogue<'_, Cpu>,
    ) -> Result<CpuTensor, DeviceError> {
        let blocks = norm.and_then(|_| blocks(x.rows, self.threads(), &[weight.inputs]));
        let input = if blocks.is_none() { self.input(x, norm)? } else { None };
        let product = |then, out| match &blocks {
            Some(blocks) => {
                let layer = BlockLayer { norm, weight, bias: bias.map(Vec::as_slice) };
                self.bf16_blocks(x, layer, blocks, then, out)
            }
            None => self.bf16_product_into(input.as_ref().unwrap_or(x), weight, bias, then, out),
        };
        let out = || self.buffers.bf16_tensor(x.rows, weight.outputs);
        match then {
            Epilogue::Gelu => product(OnTile::Gelu, out()),
            Epilogue::Add(residual) => product(OnTile::Add, self.wide(residual)),
            other => other.apply(self, product(OnTile::Nothing, out())?),
        }
    }

    /// Returns a convolution: the rows that are put side by side are rounded before.
    pub(super) fn bf16_window_linear(
        &self,
        x: &CpuTensor,
        norm: &LayerNorm<Vec<f32>>,
        layer: &LinearOf<Cpu>,
        packed: &CpuPacked,
        window: usize,
        then: Epilogue<'_, Cpu>,
    ) -> Result<CpuTensor, DeviceError> {
        let normed = match layer.weight.0 {
            Weights::Bf16(_) => self.input(x, Some(norm))?.expect("rows are normed"),
            Weights::F32(_) | Weights::Table(_) => self.layer_norm(x, norm)?,
        };
        let rows = self.unfold(&normed, packed, window)?;
        drop(normed);
        self.linear(&rows, layer, then)
    }

    /// Returns a product into `out`: added to it, or in bfloat16.
    pub(super) fn bf16_product_into(
        &self,
        x: &CpuTensor,
        weight: &Bf16Panels,
        bias: Option<&Vec<f32>>,
        then: OnTile,
        mut out: CpuTensor,
    ) -> Result<CpuTensor, DeviceError> {
        let out_shape = [out.rows, out.columns];
        shapes::linear([x.rows, x.columns], weight.shape(), bias.map(Vec::len), out_shape)?;
        let kernel = self.bf16.expect("weights are in bfloat16 where products are");
        let rounded = x.bf16().is_none().then(|| self.rounded(x));
        let input = rounded.as_ref().unwrap_or(x).bf16().expect("it was just rounded");
        let target = destination(&mut out, then);
        let layer = (weight, bias.map(Vec::as_slice));
        let tiles = tiles(x.rows, weight.outputs, self.threads(), CUT);
        self.on_threads(Kind::Products, tiles.len(), |i| {
            // SAFETY: `out` is this function's own until the product is done, and tiles do not overlap.
            unsafe { product(kernel, (input, 0), layer, then, target, &tiles[i]) };
        });
        Ok(out)
    }

    /// Returns a linear layer into `out`, added to it or in bfloat16, by blocks of rows.
    fn bf16_blocks(
        &self,
        x: &CpuTensor,
        layer: BlockLayer<'_, Bf16Panels>,
        blocks: &[Range<usize>],
        then: OnTile,
        mut out: CpuTensor,
    ) -> Result<CpuTensor, DeviceError> {
        layer.check([x.rows, x.columns], [out.rows, out.columns])?;
        let kernel = self.bf16.expect("weights are in bfloat16 where products are");
        let (values, target) = (x.values(), destination(&mut out, then));
        self.on_threads(Kind::Products, blocks.len(), |i| {
            // SAFETY: `out` is this function's own until the product is done, and blocks do not overlap.
            unsafe { row_block::linear(kernel, blocks[i].clone(), values, layer, then, target) };
        });
        Ok(out)
    }

    /// Returns a feed-forward part by blocks of rows in bfloat16; None where rows are too few, or weights are
    /// not in bfloat16.
    pub(super) fn bf16_feed_forward_part<'a>(
        &self,
        rows: usize,
        layers: [&'a LinearOf<Cpu>; 2],
    ) -> Option<FeedForward<'a, Bf16Panels>> {
        let layers = FeedForward::layers(layers, Weights::as_bf16)?;
        let [outputs, inputs] = layers[0].weight.shape();
        let blocks = blocks(rows, self.threads(), &[inputs, outputs])?;
        Some(FeedForward { layers, blocks })
    }

    /// Returns `x + down(gelu(up(x)))`, by blocks of rows.
    pub(super) fn bf16_feed_forward(
        &self,
        mut x: CpuTensor,
        part: &FeedForward<'_, Bf16Panels>,
    ) -> Result<CpuTensor, DeviceError> {
        let kernel = self.bf16.expect("weights are in bfloat16");
        let (blocks, columns) = (&part.blocks, x.columns);
        part.check([x.rows, columns])?;
        let shared = SharedRows::new(x.values_mut(), columns);
        self.on_threads(Kind::Products, blocks.len(), |i| {
            // SAFETY: `x` is this function's own until all blocks are done, which do not overlap.
            unsafe { row_block::feed_forward(kernel, blocks[i].clone(), shared, part.layers) };
        });
        Ok(x)
    }

    /// Every head of every sequence, the long sequences first so that no thread is left with one at the end.
    pub(super) fn bf16_attend(
        &self,
        kernel: Kernel,
        qkv: &CpuTensor,
        packed: &CpuPacked,
        attention: &Attention<Vec<f32>>,
        rotary: Option<&RotaryTable>,
    ) -> Result<CpuTensor, DeviceError> {
        let (hidden, width) = packed.check_qkv(qkv, attention.heads)?;
        shapes::slopes(attention.heads, attention.alibi_slopes.as_ref().map(Vec::len))?;
        let rounded = qkv.bf16().is_none().then(|| self.rounded(qkv));
        let rows = rounded.as_ref().unwrap_or(qkv).bf16().expect("it was just rounded");
        let mut out = self.buffers.bf16_tensor(qkv.rows, hidden);
        let shared = SharedRows::new(out.bf16_mut(), stride(hidden));
        let mut tasks = Vec::new();
        for tokens in packed.longest_first() {
            for head in 0..attention.heads {
                tasks.extend(attention::tasks(tokens.len()).map(|queries| (tokens.clone(), head, queries)));
            }
        }
        self.on_threads(Kind::Attention, tasks.len(), |i| {
            let (tokens, head, queries) = tasks[i].clone();
            let alibi_slope = attention.alibi_slopes.as_ref().map_or(0.0, |slopes| slopes[head]);
            let task = QueryTask {
                qkv: rows,
                hidden,
                head,
                width,
                tokens,
                queries,
                rotary,
                alibi_slope,
                out: shared,
            };
            // SAFETY: `out` is borrowed until all tasks are done, and each writes its own head and queries.
            unsafe { attention::run(kernel, task) };
        });
        Ok(out)
    }
}
