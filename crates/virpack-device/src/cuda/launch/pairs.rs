//! Launches `pairs.cu`, which converts float32 values to pairs of float16 and back.

use crate::DeviceError;
use crate::cuda::Cuda;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};

/// Threads of a block, with four values each.
const THREADS: u32 = 256;
const VALUES: usize = 4;

pub(super) fn source() -> KernelSource {
    kernel_source!("pairs.cu" after "pairs.cuh")
}

impl Cuda {
    /// Splits or joins `count` values in rows of `columns`, a multiple of 4. The result takes as many bytes.
    pub(in crate::cuda) fn copy(
        &self,
        kernel: &'static str,
        from: u64,
        to: u64,
        count: usize,
        columns: usize,
    ) -> Result<(), DeviceError> {
        let grid = Grid::line(count / VALUES, THREADS);
        let arguments = arguments![from, to, count as u64, columns as i32];
        // SAFETY: both hold `count` values of four bytes; callers split and join only rows that `are_for_pairs`.
        unsafe { self.kernels.launch(&source(), kernel, grid, &arguments) }
    }
}
