//! Launches `rotary.cu`.

use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};
use crate::cuda::packed::CudaPacked;
use crate::cuda::{Cuda, CudaTensor, CudaVector};
use crate::{Attention, DeviceError};

/// Threads of a block.
const THREADS: u32 = 256;

/// The most blocks that share a sequence's rows.
const MOST_SHARES: usize = 16;

pub(super) fn source() -> KernelSource {
    kernel_source!("rotary.cu")
}

impl Cuda {
    /// Applies rotary positions to queries and keys, in place.
    pub(in crate::cuda) fn rotate(
        &self,
        qkv: &CudaTensor,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<(), DeviceError> {
        let heads = attention.heads;
        let (_, width) = packed.check_qkv([qkv.rows, qkv.columns], heads)?;
        let table = self.rotary_table(width, packed.longest, &attention.rotary_frequencies)?;
        let grid = Grid { blocks: (packed.n, packed.longest.min(MOST_SHARES)), threads: THREADS, shared: 0 };
        let arguments =
            arguments![qkv.block.pointer, packed.cu_seqlens(), table.pointer, heads as i32, width as i32];
        // SAFETY: `qkv` is `[tokens, 3 · heads · width]` as checked, the table holds the longest position.
        unsafe { self.kernels.launch(&source(), "rotary", grid, &arguments) }
    }
}
