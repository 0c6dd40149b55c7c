//! Launches the kernels of `window.cu`: the embedding of windows, and their rows side by side.

use crate::cuda::forms::Form;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};
use crate::cuda::packed::CudaPacked;
use crate::cuda::{Cuda, CudaMatrix, CudaTensor, CudaVector};
use crate::{DeviceError, shapes};

/// Threads of a block; a warp takes a token.
const THREADS: u32 = 256;

/// The most blocks that share a sequence's tokens.
const MOST_SHARES: usize = 64;

pub(super) fn source() -> KernelSource {
    kernel_source!("window.cu")
}

/// Returns the grid of blocks that share the tokens of each sequence.
fn grid(packed: &CudaPacked) -> Grid {
    let shares = packed.longest.div_ceil(THREADS as usize / 32).min(MOST_SHARES);
    Grid { blocks: (packed.n, shares), threads: THREADS, shared: 0 }
}

impl Cuda {
    /// Computes, for each token of a window, the sum of a table row for each place, and of `bias`.
    pub(in crate::cuda) fn sum_windows(
        &self,
        table: &CudaMatrix,
        window: usize,
        bias: &CudaVector,
        packed: &CudaPacked,
    ) -> Result<CudaTensor, DeviceError> {
        let vocabulary = shapes::window_table([table.rows, table.columns], window, bias.len)?;
        shapes::token_id(packed.largest_id, vocabulary)?;
        if table.form != Form::Plain || table.folded {
            let given = "a weight of a product";
            return Err(DeviceError::shape("embed_window", "a table of `Backend::table`", given));
        }
        self.card.enter()?;
        let out = self.tensor(packed.tokens, table.columns)?;
        let arguments = arguments![
            table.memory.pointer,
            bias.exact.pointer,
            packed.input_ids(),
            packed.cu_seqlens(),
            table.columns as i32,
            window as i32,
            vocabulary as i32,
            out.block.pointer
        ];
        // SAFETY: every id is inside each place's table, the boundaries inside the batch, `bias` as long as a
        // row, and `out` has the batch's rows.
        unsafe { self.kernels.launch(&source(), "embed_window", grid(packed), &arguments)? };
        Ok(out)
    }

    /// Copies the rows of each token's window side by side, as plain values.
    pub(in crate::cuda) fn unfolded(
        &self,
        x: &CudaTensor,
        packed: &CudaPacked,
        window: usize,
    ) -> Result<CudaTensor, DeviceError> {
        shapes::unfold(x.rows, packed.tokens, window)?;
        self.card.enter()?;
        let x = self.plain(x)?;
        let out = self.tensor(x.rows, window * x.columns)?;
        let arguments = arguments![
            x.block.pointer,
            packed.cu_seqlens(),
            x.columns as i32,
            window as i32,
            out.block.pointer
        ];
        // SAFETY: `x` has the batch's rows, and `out` `window` of them for each.
        unsafe { self.kernels.launch(&source(), "unfold", grid(packed), &arguments)? };
        Ok(out)
    }
}
