//! Launches `attention_pairs.cu`: attention of pairs of float16, as accurate as float32.

use super::attention::depth;
use crate::cuda::attention_task::Task;
use crate::cuda::forms::Form;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};
use crate::cuda::rotary::WIDTHS;
use crate::cuda::{Cuda, CudaTensor};
use crate::{DeviceError, Dtype};

/// Threads of a block, and keys of a step.
const THREADS: usize = 128;
const STEP: usize = 64;

/// Returns the source for heads of `width`; `alibi`: with ALiBi's slopes. The kernel sees halves of pairs
/// only.
fn source(width: usize, alibi: bool) -> KernelSource {
    kernel_source!("attention_pairs.cu" after "matrix_units.cuh", "pairs.cuh", "attention_rows.cuh")
        .of(Dtype::F16)
        .with_large_shared()
        .define([
            ("WIDTH", width),
            ("THREADS", THREADS),
            ("STEP", STEP),
            ("DEPTH", depth(width)),
            ("FLOAT32", 1),
            ("ALIBI", alibi.into()),
        ])
}

/// Returns the sources of all forms.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    WIDTHS.into_iter().flat_map(|width| [false, true].map(|alibi| source(width, alibi)))
}

impl Cuda {
    /// Computes attention of rotated queries and keys, as pairs. Returns `None` if their head width has no
    /// kernel.
    pub(in crate::cuda) fn pairs_attention(&self, task: Task<'_>) -> Result<Option<CudaTensor>, DeviceError> {
        if !self.has_pairs() || !WIDTHS.contains(&task.width) {
            return Ok(None);
        }
        let qkv = self.as_pairs(task.qkv)?;
        let packed = task.packed;
        let out = CudaTensor { form: Form::Pairs, ..self.tensor(packed.tokens, task.hidden())? };
        let most_rows = packed.long.most_rows.max(packed.short.most_rows);
        let groups = most_rows.div_ceil(THREADS / 32 * 16);
        // Two steps of highs and lows, of keys and of values.
        let shared = 2 * 4 * STEP * depth(task.width) * Dtype::F16.bytes();
        let grid = Grid { blocks: (packed.items, task.heads * groups), threads: THREADS as u32, shared };
        let arguments = arguments![
            qkv.block.pointer,
            packed.items(),
            task.slopes,
            out.block.pointer,
            task.heads as i32,
            groups as i32,
            task.scale()
        ];
        let source = source(task.width, task.has_alibi());
        // SAFETY: shapes as checked by `attend`; the items lie inside the batch.
        unsafe { self.kernels.launch(&source, "attention_pairs", grid, &arguments)? };
        Ok(Some(out))
    }
}
