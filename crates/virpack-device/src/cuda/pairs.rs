//! float32 on the tensor cores of compute capability 9.0: values as pairs of float16 (kernels/pairs.cuh), the launchers of
//! what computes with them.
//!
//! Weights are pairs from their upload on. Of activations those are that one product or attention hands to the next;
//! whatever else takes a tensor of pairs joins it first, and a product of float32 rows splits them first.

use super::arena::Fixed;
use super::fused_product::Finish;
use super::kernel_source::{KernelSource, kernel_source};
use super::kernels::{Grid, arguments};
use super::packed::CudaPacked;
use super::rotary::{self, Turns};
use super::tensor_map::TensorMap;
use super::{Cuda, CudaMatrix, CudaTensor, CudaVector, ROW_STEP};
use crate::{DeviceError, Dtype};
use std::ops::Deref;

/// What follows a product of pairs, and what it gives.
#[derive(Clone, Copy, Debug)]
struct PairsForm {
    finish: Finish,
    /// Whether the result is added to what is there.
    residual: bool,
    /// Whether the result is pairs again.
    pairs: bool,
}

const PLAIN: PairsForm = PairsForm { finish: Finish::Nothing, residual: false, pairs: false };
const SUM: PairsForm = PairsForm { residual: true, ..PLAIN };

/// Rows and outputs of a block's tile (a cluster of two has `ROW_STEP` rows), inputs of a step, steps in its memory.
const ROWS: usize = ROW_STEP / 2;
const COLUMNS: usize = 128;
const STEP: usize = 64;
const STAGES: usize = 3;

/// Bytes of shared memory: the ring of highs and lows, barriers.
const SHARED: usize = STAGES * (ROWS + COLUMNS) * STEP * 4 + 2 * STAGES * 8;

/// Threads of a block of attention, and keys of a step.
const ATTENTION_THREADS: usize = 128;
const ATTENTION_STEP: usize = 64;

/// Threads of the kernels that split and join.
const COPY_THREADS: u32 = 256;

impl PairsForm {
    /// What it is compiled from.
    fn source(self) -> KernelSource {
        kernel_source!(
            "product_pairs.cu" after "bulk.cuh", "wgmma.cuh", "hopper.cuh", "product_tiles.cuh", "pairs.cuh"
        )
        .with_large_shared()
        .define(self.finish.defines())
        .define([("RESIDUAL", self.residual.into()), ("PAIRS_OUT", self.pairs.into())])
    }
}

/// The kernels that split and join.
fn copy_source() -> KernelSource {
    kernel_source!("pairs.cu" after "pairs.cuh")
}

/// Attention of heads of `width`, with ALiBi's slopes where `alibi`; all it sees are halves of pairs.
fn attention_source(width: usize, alibi: bool) -> KernelSource {
    kernel_source!("attention_pairs.cu" after "matrix_units.cuh", "pairs.cuh", "attention_rows.cuh")
        .of(Dtype::F16)
        .with_large_shared()
        .define([
            ("WIDTH", width),
            ("THREADS", ATTENTION_THREADS),
            ("STEP", ATTENTION_STEP),
            ("FLOAT32", 1),
            ("ALIBI", alibi.into()),
        ])
}

/// Every kernel of pairs.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    let finished = [Finish::Gelu].into_iter().chain(rotary::WIDTHS.map(Finish::Rotary));
    let finished = finished.map(|finish| PairsForm { finish, residual: false, pairs: true });
    let products = [PLAIN, SUM].into_iter().chain(finished);
    let attention = rotary::WIDTHS
        .into_iter()
        .flat_map(|width| [false, true].map(|alibi| attention_source(width, alibi)));
    std::iter::once(copy_source()).chain(products.map(PairsForm::source)).chain(attention)
}

/// A tensor as it was given, or its other form.
pub(super) enum Either<'a> {
    Given(&'a CudaTensor),
    Made(CudaTensor),
}

impl Deref for Either<'_> {
    type Target = CudaTensor;

    fn deref(&self) -> &CudaTensor {
        match self {
            Either::Given(x) => x,
            Either::Made(x) => x,
        }
    }
}

impl Cuda {
    /// Whether float32 products of this card are of pairs.
    pub(super) fn has_pairs(&self) -> bool {
        self.bulk_copies && self.options.dtype == Dtype::F32
    }

    /// Whether rows of so many values are pairs where a product reads them: of a multiple of 16 bytes, as bulk copies
    /// ask for.
    pub(super) fn are_for_pairs(&self, columns: usize) -> bool {
        self.has_pairs() && columns.is_multiple_of(8) && columns > 0
    }

    /// Whether a weight of these sizes is pairs.
    pub(super) fn is_for_pairs(&self, outputs: usize, inputs: usize) -> bool {
        self.are_for_pairs(inputs) && outputs.is_multiple_of(8)
    }

    /// Uploads a weight as pairs.
    pub(super) fn matrix_of_pairs(
        &self,
        rows: usize,
        columns: usize,
        values: &[f32],
    ) -> Result<CudaMatrix, DeviceError> {
        let exact = self.fixed_f32("matrix", values)?;
        let memory = Fixed::new(&self.card, "matrix", size_of_val(values))?;
        // `exact` waits for the stream before it goes.
        self.copy("split", exact.pointer, memory.pointer, rows * columns, columns)?;
        Ok(CudaMatrix { memory, rows, columns, folded: false, pairs: true, neighbours: None })
    }

    /// The tensor as float32 values.
    pub(super) fn plain<'a>(&self, x: &'a CudaTensor) -> Result<Either<'a>, DeviceError> {
        if x.pairs { self.other_form("join", x).map(Either::Made) } else { Ok(Either::Given(x)) }
    }

    /// The tensor itself as float32 values.
    pub(super) fn joined(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if x.pairs { self.other_form("join", &x) } else { Ok(x) }
    }

    /// The tensor itself as pairs.
    pub(super) fn split(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if x.pairs { Ok(x) } else { self.other_form("split", &x) }
    }

    /// The tensor as pairs.
    pub(super) fn as_pairs<'a>(&self, x: &'a CudaTensor) -> Result<Either<'a>, DeviceError> {
        if x.pairs { Ok(Either::Given(x)) } else { self.other_form("split", x).map(Either::Made) }
    }

    fn other_form(&self, kernel: &'static str, x: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        let other = CudaTensor { pairs: !x.pairs, ..self.tensor(x.rows, x.columns)? };
        self.copy(kernel, x.block.pointer, other.block.pointer, x.rows * x.columns, x.columns)?;
        Ok(other)
    }

    /// Splits or joins `count` values in rows of `columns`, a multiple of 4, in other memory of as many bytes.
    fn copy(
        &self,
        kernel: &'static str,
        from: u64,
        to: u64,
        count: usize,
        columns: usize,
    ) -> Result<(), DeviceError> {
        let blocks = (count / 4).div_ceil(COPY_THREADS as usize);
        let grid = Grid { blocks: (blocks, 1), threads: COPY_THREADS, shared: 0 };
        let arguments = arguments![from, to, count as u64, columns as i32];
        // SAFETY: both hold `count` values of four bytes; callers split and join only rows that `are_for_pairs`.
        unsafe { self.kernels.launch(&copy_source(), kernel, grid, &arguments) }
    }

    /// `x · weightᵀ + bias` of a weight of pairs; added to `residual` where there is one.
    pub(super) fn pairs_product(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        residual: bool,
    ) -> Result<(), DeviceError> {
        self.give_pairs(if residual { SUM } else { PLAIN }, x, weight, bias, y, None)
    }

    /// The product and what follows, as pairs.
    pub(super) fn pairs_fused(
        &self,
        finish: Finish,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        turns: Option<Turns>,
    ) -> Result<CudaTensor, DeviceError> {
        let y = CudaTensor { pairs: true, ..self.tensor(x.rows, weight.rows)? };
        self.give_pairs(PairsForm { finish, residual: false, pairs: true }, x, weight, bias, &y, turns)?;
        Ok(y)
    }

    fn give_pairs(
        &self,
        form: PairsForm,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        turns: Option<Turns>,
    ) -> Result<(), DeviceError> {
        Self::check_product(x, weight, bias, y, false)?;
        Self::check_rotation(weight, form.finish)?;
        let x = self.as_pairs(x)?;
        self.card.enter()?;
        let (rows, inputs, outputs) = (x.rows.next_multiple_of(ROW_STEP), x.columns, weight.rows);
        // Lows come `inputs` values of 16 bits after highs, in rows of both.
        let map = |pointer: u64, half: usize, rows, boxed| {
            let pointer = pointer + (half * inputs * Dtype::F16.bytes()) as u64;
            TensorMap::new(Dtype::F16, pointer, (rows, inputs), 2 * inputs, (boxed, STEP))
        };
        let x_map = |half| map(x.block.pointer, half, rows, ROWS);
        let weight_map = |half| map(weight.memory.pointer, half, outputs, COLUMNS / 2);
        let maps = [x_map(0)?, x_map(1)?, weight_map(0)?, weight_map(1)?];
        let turns = turns.unwrap_or_default();
        let arguments = arguments![
            &maps[0],
            &maps[1],
            &maps[2],
            &maps[3],
            bias.map_or(0, |b| b.exact.pointer),
            y.block.pointer,
            rows as i32,
            inputs as i32,
            outputs as i32,
            turns.positions,
            turns.table,
            turns.outputs as i32
        ];
        let grid = self.clusters(rows, outputs.div_ceil(COLUMNS), SHARED);
        // SAFETY: tensors hold rows up to a multiple of ROW_STEP, and so do positions, which the table has; rows past the
        // batch are computed and never read. `y` has the form's kind of values.
        unsafe { self.kernels.launch(&form.source(), "product_pairs", grid, &arguments) }
    }

    /// Attention of queries and keys that are rotated already, as pairs; None where heads of their width have no kernel.
    pub(super) fn pairs_attention(
        &self,
        qkv: &CudaTensor,
        packed: &CudaPacked,
        heads: usize,
        slopes: u64,
    ) -> Result<Option<CudaTensor>, DeviceError> {
        let hidden = qkv.columns / 3;
        let width = hidden / heads;
        if !self.has_pairs() || !rotary::WIDTHS.contains(&width) {
            return Ok(None);
        }
        let qkv = self.as_pairs(qkv)?;
        let out = CudaTensor { pairs: true, ..self.tensor(packed.tokens, hidden)? };
        let most_rows = packed.long.most_rows.max(packed.short.most_rows);
        let groups = most_rows.div_ceil(ATTENTION_THREADS / 32 * 16);
        // Two steps of highs and lows of keys and of values.
        let shared = 2 * 4 * ATTENTION_STEP * width.next_multiple_of(16) * Dtype::F16.bytes();
        let grid = Grid { blocks: (packed.items, heads * groups), threads: ATTENTION_THREADS as u32, shared };
        // Scores in powers of two: e^x = 2^(x · log2 e).
        let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
        let arguments = arguments![
            qkv.block.pointer,
            packed.items(),
            slopes,
            out.block.pointer,
            heads as i32,
            groups as i32,
            scale
        ];
        let source = attention_source(width, slopes != 0);
        // SAFETY: shapes as checked by `attend`; the items lie inside the batch.
        unsafe { self.kernels.launch(&source, "attention_pairs", grid, &arguments)? };
        Ok(Some(out))
    }
}
