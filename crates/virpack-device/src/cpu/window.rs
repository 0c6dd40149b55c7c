//! Windows of tokens: their embedding, their rows side by side, and convolutions without a copy of them.

use super::blocks::PackedWeight;
use super::norm::NormRow;
use super::panels::F32Panels;
use super::product::{CUT, Input};
use super::tiles::{OnTile, tiles_of};
use super::{Cpu, CpuMatrix, CpuPacked, CpuTensor};
use crate::{DeviceError, LayerNorm, shapes};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// The sum of `bias` and of rows of a table, in the order of the window.
struct SumRows<'a, I> {
    bias: &'a [f32],
    rows: I,
    out: &'a mut [f32],
}

impl<'a, I: Iterator<Item = &'a [f32]>> WithSimd for SumRows<'a, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let SumRows { bias, rows, out } = self;
        out.copy_from_slice(bias);
        let (out, out_tail) = S::as_mut_simd_f32s(out);
        for row in rows {
            let (row, row_tail) = S::as_simd_f32s(row);
            for (out, value) in out.iter_mut().zip(row) {
                *out = simd.add_f32s(*out, *value);
            }
            for (out, value) in out_tail.iter_mut().zip(row_tail) {
                *out += value;
            }
        }
    }
}

impl CpuPacked {
    /// Returns the tokens of a token's sequence.
    fn sequence_of(&self, token: usize) -> Range<usize> {
        let next = self.cu_seqlens.partition_point(|&start| start <= token);
        self.cu_seqlens[next - 1]..self.cu_seqlens[next]
    }
}

/// Returns the tokens of the window around `token` inside `sequence`, and the place in the window of the
/// first of them.
fn window_around(token: usize, sequence: &Range<usize>, window: usize) -> (Range<usize>, usize) {
    let half = window / 2;
    let first = token.saturating_sub(half).max(sequence.start);
    (first..sequence.end.min(token + half + 1), first + half - token)
}

impl Cpu {
    /// Returns the sum of a row of a table for each token of a window, and of `bias`.
    pub(super) fn sum_windows(
        &self,
        table: &CpuMatrix,
        window: usize,
        bias: &[f32],
        packed: &CpuPacked,
    ) -> Result<CpuTensor, DeviceError> {
        let table = table.table("embed_window")?;
        let vocabulary = shapes::window_table([table.rows, table.columns], window, bias.len())?;
        packed.input_ids.iter().try_for_each(|&id| shapes::token_id(id, vocabulary))?;
        let mut out = self.buffers.tensor(packed.input_ids.len(), table.columns);
        self.each_row(&mut out, |token, out| {
            let (tokens, place) = window_around(token, &packed.sequence_of(token), window);
            let ids = packed.input_ids[tokens].iter().map(|&id| usize::from(id));
            let rows = ids.zip(place..).map(|(id, place)| {
                &table.values[(place * vocabulary + id) * table.columns..][..table.columns]
            });
            self.arch.dispatch(SumRows { bias, rows, out });
        });
        Ok(out)
    }

    /// Returns the rows of each window side by side, in the precision of `x`.
    pub(super) fn unfolded(
        &self,
        x: &CpuTensor,
        packed: &CpuPacked,
        window: usize,
    ) -> Result<CpuTensor, DeviceError> {
        shapes::unfold(x.rows, packed.input_ids.len(), window)?;
        let columns = window * x.columns;
        if let Some(rows) = x.bf16() {
            return Ok(self.bf16_rows(x.rows, columns, |token, out| {
                let row = |row| rows.part(row, 0, x.columns);
                side_by_side(token, &packed.sequence_of(token), window, row, out);
            }));
        }
        let values = x.values();
        let mut out = self.buffers.tensor(x.rows, columns);
        self.each_row(&mut out, |token, out| {
            let row = |row| &values[row * x.columns..][..x.columns];
            side_by_side(token, &packed.sequence_of(token), window, row, out);
        });
        Ok(out)
    }

    /// Returns a convolution in float32: the rows of a window lie side by side in memory already, once
    /// zeros are between the sequences, so that the product reads rows that overlap.
    pub(super) fn convolution(
        &self,
        x: &CpuTensor,
        norm: &LayerNorm<Vec<f32>>,
        (weight, bias): (&F32Panels, Option<&Vec<f32>>),
        packed: &CpuPacked,
        window: usize,
        (then, mut out): (OnTile, CpuTensor),
    ) -> Result<CpuTensor, DeviceError> {
        shapes::unfold(x.rows, packed.input_ids.len(), window)?;
        let out_shape = [out.rows, out.columns];
        shapes::linear([x.rows, window * x.columns], weight.shape(), bias.map(Vec::len), out_shape)?;
        let spaced = self.normed_between_zeros(x, norm, packed, window / 2)?;
        let sequences = packed.sequences();
        let tiles = tiles_of(sequences, weight.outputs, self.threads(), CUT);
        // The window of a sequence's first token begins with the zeros before it.
        let place = |token: usize| token + (window / 2) * packed.place_of(token);
        let input = Input { values: spaced.values(), stride: x.columns };
        let layer = (weight, bias.map(Vec::as_slice));
        self.f32_tiles(&tiles, (input, place), layer, then, &mut out);
        Ok(out)
    }

    /// Returns the rows of `x`, normed, with `gap` rows of zeros before each sequence and after the last:
    /// `[tokens + gap · (n + 1), columns]`.
    fn normed_between_zeros(
        &self,
        x: &CpuTensor,
        norm: &LayerNorm<Vec<f32>>,
        packed: &CpuPacked,
        gap: usize,
    ) -> Result<CpuTensor, DeviceError> {
        let LayerNorm { weight, bias, eps } = norm;
        shapes::layer_norm(x.columns, weight.len(), bias.len())?;
        let mut tokens = Vec::with_capacity(x.rows + gap * packed.cu_seqlens.len());
        for sequence in packed.sequences() {
            tokens.extend(std::iter::repeat_n(None, gap));
            tokens.extend(sequence.map(Some));
        }
        tokens.extend(std::iter::repeat_n(None, gap));
        let mut out = self.buffers.tensor(tokens.len(), x.columns);
        self.each_row(&mut out, |row, out| match tokens[row] {
            Some(token) => {
                let x = &x.values()[token * x.columns..][..x.columns];
                self.arch.dispatch(NormRow { x, weight, bias, eps: *eps, out });
            }
            None => out.fill(0.0),
        });
        Ok(out)
    }
}

impl CpuPacked {
    /// Returns how many sequences come before a token's own.
    fn place_of(&self, token: usize) -> usize {
        self.cu_seqlens.partition_point(|&start| start <= token) - 1
    }
}

/// Writes the rows of a token's window into `out`, zeros for those outside its sequence.
fn side_by_side<'a, T: Copy + Default + 'a>(
    token: usize,
    sequence: &Range<usize>,
    window: usize,
    row: impl Fn(usize) -> &'a [T],
    out: &mut [T],
) {
    let (tokens, place) = window_around(token, sequence, window);
    let columns = out.len() / window;
    let (before, rest) = out.split_at_mut(place * columns);
    let (inside, after) = rest.split_at_mut(tokens.len() * columns);
    before.fill(T::default());
    inside.chunks_exact_mut(columns).zip(tokens).for_each(|(out, token)| out.copy_from_slice(row(token)));
    after.fill(T::default());
}
