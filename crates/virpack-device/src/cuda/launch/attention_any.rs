//! Launches `attention_any.cu`: attention for any width and dtype.

use crate::DeviceError;
use crate::cuda::attention_task::Task;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};
use crate::cuda::packed::WIDEST_HEAD;
use crate::cuda::{Cuda, CudaTensor};

/// Threads of a block; a warp takes a query.
const THREADS: u32 = 256;

pub(super) fn source() -> KernelSource {
    kernel_source!("attention_any.cu").define([("WIDEST", WIDEST_HEAD)])
}

impl Cuda {
    /// Computes attention of heads that no other kernel takes.
    pub(in crate::cuda) fn attend_anyhow(&self, task: Task<'_>, out: &CudaTensor) -> Result<(), DeviceError> {
        let shared = THREADS as usize / 32 * task.width * size_of::<f32>();
        let grid = Grid { blocks: (task.packed.items, task.heads), threads: THREADS, shared };
        let scale = 1.0 / (task.width as f32).sqrt();
        let arguments = arguments![
            task.qkv.block.pointer,
            task.packed.items(),
            task.slopes,
            out.block.pointer,
            task.heads as i32,
            task.width as i32,
            scale
        ];
        // SAFETY: shapes as checked by `attend`; the items lie inside the batch.
        unsafe { self.kernels.launch(&source(), "attention_any", grid, &arguments) }
    }
}
