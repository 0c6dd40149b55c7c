//! Launches `pool.cu`.

use crate::cuda::arena_plan::Blocks;
use crate::cuda::driver::{Stream, check};
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};
use crate::cuda::packed::CudaPacked;
use crate::cuda::{Cuda, CudaTensor, arena};
use crate::{DeviceError, Pool, PoolSpan, shapes};
use cudarc::driver::sys;

/// Threads of a block, with a column each.
const THREADS: u32 = 128;

pub(super) fn source() -> KernelSource {
    kernel_source!("pool.cu").define([
        ("POOL_MEAN", Pool::Mean as usize),
        ("POOL_MAX", Pool::Max as usize),
        ("POOL_CLS", Pool::Cls as usize),
        ("POOL_MEAN_MAX", Pool::MeanMax as usize),
    ])
}

impl Cuda {
    /// Writes one float32 row of the pool's width for each sequence, then one word for each. The word is not
    /// 0 if the row is not finite.
    pub(in crate::cuda) fn pool_rows(
        &self,
        x: &CudaTensor,
        packed: &CudaPacked,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<arena::Block, DeviceError> {
        shapes::pool(x.rows, packed.tokens, packed.shortest, pool, span)?;
        self.card.enter()?;
        let x = self.plain(x)?;
        let values = packed.n * pool.width(x.columns);
        let kind = self.blocks().result;
        let out = self.arena.take(Blocks::small((values + packed.n) * size_of::<f32>(), kind))?;
        let flags = out.pointer + (values * size_of::<f32>()) as u64;
        let Stream(compute) = self.card.compute;
        // SAFETY: the flags are the last `n` words of `out`.
        check("cuMemsetD32Async", unsafe { sys::cuMemsetD32Async(flags, 0, packed.n, compute) })?;
        let blocks = (packed.n, x.columns.div_ceil(THREADS as usize));
        let grid = Grid { blocks, threads: THREADS, shared: 0 };
        let arguments = arguments![
            x.block.pointer,
            packed.cu_seqlens(),
            x.columns as i32,
            pool as i32,
            span.skip_first as i32,
            span.skip_last as i32,
            out.pointer,
            flags
        ];
        // SAFETY: every sequence is longer than what is skipped; `out` holds a row and a flag for each.
        unsafe { self.kernels.launch(&source(), "pool", grid, &arguments)? };
        Ok(out)
    }
}
