//! Launches the kernels of `elementwise.cu`: embedding lookup, GELU, sums, conversions.

use crate::cuda::forms::Form;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, Kernels, arguments};
use crate::cuda::packed::CudaPacked;
use crate::cuda::{Cuda, CudaMatrix, CudaTensor};
use crate::{DeviceError, TokenDropout, shapes};

/// Threads of a block, each with an element, or each warp with a row.
const THREADS: u32 = 256;

/// The most blocks that share a sequence's rows in the embedding lookup.
const MOST_SHARES: usize = 16;

pub(super) fn source() -> KernelSource {
    kernel_source!("elementwise.cu" after "pairs.cuh")
}

/// Counts the values that differ between two results of `values` values, in the word at `count`.
///
/// # Safety
///
/// `x`, `y` and `count` lead to memory of these sizes on the card.
pub(in crate::cuda) unsafe fn count_differing(
    kernels: &Kernels,
    x: u64,
    y: u64,
    values: usize,
    count: u64,
) -> Result<(), DeviceError> {
    let arguments = arguments![x, y, values as u64, count];
    // SAFETY: the caller's promise.
    unsafe { kernels.launch(&source(), "differing", Grid::line(values, THREADS), &arguments) }
}

impl Cuda {
    /// Returns the values of a 16-byte access.
    pub(in crate::cuda) fn vector_len(&self) -> usize {
        16 / self.options.dtype.bytes()
    }

    fn by_vectors(&self, count: usize) -> Grid {
        Grid::line(count.div_ceil(self.vector_len()), THREADS)
    }

    /// Looks up the rows of an embedding table by token id.
    pub(in crate::cuda) fn embed_rows(
        &self,
        table: &CudaMatrix,
        packed: &CudaPacked,
        dropout: Option<TokenDropout>,
    ) -> Result<CudaTensor, DeviceError> {
        shapes::token_id(packed.largest_id, table.rows)?;
        if table.form != Form::Plain || table.folded {
            return Err(DeviceError::shape("embed", "a table of `Backend::table`", "a weight of a product"));
        }
        self.card.enter()?;
        let out = self.tensor(packed.tokens, table.columns)?;
        let shares = packed.longest.div_ceil(THREADS as usize / 32).min(MOST_SHARES);
        let grid = Grid { blocks: (packed.n, shares), threads: THREADS, shared: 0 };
        let arguments = arguments![
            table.memory.pointer,
            packed.input_ids(),
            packed.cu_seqlens(),
            table.columns as i32,
            dropout.map_or(-1, |d| i32::from(d.mask_token)),
            dropout.map_or(1.0, |d| 1.0 - d.train_ratio),
            out.block.pointer
        ];
        // SAFETY: every id is inside the table, the boundaries inside the batch, `out` has the batch's rows.
        unsafe { self.kernels.launch(&source(), "embed", grid, &arguments)? };
        Ok(out)
    }

    /// Applies GELU in place; to float32 values, if pairs are given.
    pub(in crate::cuda) fn gelu_in_place(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        let x = self.joined(x)?;
        let count = x.rows * x.columns;
        let arguments = arguments![x.block.pointer, count as u64];
        // SAFETY: `x` holds `count` values.
        unsafe { self.kernels.launch(&source(), "gelu_in_place", self.by_vectors(count), &arguments)? };
        Ok(x)
    }

    /// Computes `gelu(gate) · value`, in the form that products read.
    pub(in crate::cuda) fn gate(&self, x: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        let width = shapes::gated(x.columns)?;
        self.card.enter()?;
        let x = self.plain(x)?;
        let pairs = self.are_for_pairs(width);
        let form = if pairs { Form::Pairs } else { Form::Plain };
        let out = CudaTensor { form, ..self.tensor(x.rows, width)? };
        let count = x.rows * width;
        let arguments =
            arguments![x.block.pointer, out.block.pointer, count as u64, width as i32, i32::from(pairs)];
        // SAFETY: `x` holds two rows of `width` for each of `out`'s.
        unsafe { self.kernels.launch(&source(), "gated_gelu", self.by_vectors(count), &arguments)? };
        self.handed_on(out)
    }

    /// Computes `x + y` in place of `x`; of float32 values, if pairs are given.
    pub(in crate::cuda) fn add_in_place(
        &self,
        x: CudaTensor,
        y: &CudaTensor,
    ) -> Result<CudaTensor, DeviceError> {
        shapes::add([x.rows, x.columns], [y.rows, y.columns])?;
        self.card.enter()?;
        let (x, y) = (self.joined(x)?, self.plain(y)?);
        let count = x.rows * x.columns;
        let arguments = arguments![x.block.pointer, y.block.pointer, count as u64];
        // SAFETY: both hold `count` values.
        unsafe { self.kernels.launch(&source(), "add_in_place", self.by_vectors(count), &arguments)? };
        Ok(x)
    }

    /// Converts `count` values of the activations' dtype to float32.
    ///
    /// # Safety
    ///
    /// `x` and `out` lead to memory of these sizes on the card.
    pub(in crate::cuda) unsafe fn widen(&self, x: u64, out: u64, count: usize) -> Result<(), DeviceError> {
        let arguments = arguments![x, out, count as u64];
        // SAFETY: the caller's promise.
        unsafe { self.kernels.launch(&source(), "widen", Grid::line(count, THREADS), &arguments) }
    }

    /// Converts `count` float32 values to the activations' dtype.
    ///
    /// # Safety
    ///
    /// `x` and `out` lead to memory of these sizes on the card.
    pub(in crate::cuda) unsafe fn narrow(&self, x: u64, out: u64, count: usize) -> Result<(), DeviceError> {
        let arguments = arguments![x, out, count as u64];
        // SAFETY: the caller's promise.
        unsafe { self.kernels.launch(&source(), "narrow", Grid::line(count, THREADS), &arguments) }
    }
}
