//! Launches `attention_ring.cu`: attention of sequences of any length on compute capability 9.0. Queries and
//! keys are already rotated.

use super::attention_whole::{ROWS, columns, row, tile_defines};
use crate::DeviceError;
use crate::cuda::attention_task::Task;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, WARPGROUP, arguments};
use crate::cuda::packed::Part;
use crate::cuda::tensor_map::TensorMap;
use crate::cuda::{Cuda, CudaTensor};

/// A form of the kernel, in which a block has one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cuda) struct RingForm {
    /// Width of a head.
    width: usize,
    /// Keys of a stage.
    step: usize,
    /// Stages of the ring.
    stages: usize,
    /// Warpgroups that share the ring.
    warpgroups: usize,
    /// Blocks of a processor, which share its registers.
    blocks: usize,
    /// The most rows of a block, a multiple of `ROWS · warpgroups`: it passes over the keys once for so many.
    span: usize,
}

const fn form([width, step, stages, warpgroups, blocks, span]: [usize; 6]) -> RingForm {
    RingForm { width, step, stages, warpgroups, blocks, span }
}

/// The fastest of those tried (dev/cuda.md).
const FORMS: [RingForm; 5] = [
    form([16, 64, 3, 1, 5, 256]),
    form([24, 64, 4, 2, 2, 256]),
    form([32, 64, 3, 1, 5, 128]),
    form([64, 64, 4, 2, 2, 256]),
    form([128, 64, 3, 1, 2, 128]),
];

impl RingForm {
    /// Returns the form for heads of `width`.
    pub(in crate::cuda) fn find(width: usize) -> Option<RingForm> {
        FORMS.into_iter().find(|form| form.width == width)
    }

    /// Returns its source; `alibi`: with ALiBi's slopes.
    fn source(self, alibi: bool) -> KernelSource {
        kernel_source!(
            "attention_ring.cu" after "matrix_units.cuh", "bulk.cuh", "wgmma.cuh", "attention_parts.cuh"
        )
        .with_large_shared()
        .define([
            ("WIDTH", self.width),
            ("HEADS", 1),
            ("STEP", self.step),
            ("STAGES", self.stages),
            ("WARPGROUPS", self.warpgroups),
            ("BLOCKS", self.blocks),
            ("SPAN", self.span),
            ("ALIBI", alibi.into()),
        ])
        .define(tile_defines(self.width))
    }

    /// Returns the bytes of shared memory: a ring of keys and values, each warpgroup's queries, barriers.
    fn shared(self) -> usize {
        let barriers = 2 * self.stages * 8;
        (2 * self.stages * self.step + ROWS * self.warpgroups) * row(self.width) * 2 + barriers
    }
}

/// Returns the sources of all forms.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    FORMS.into_iter().flat_map(|form| [false, true].map(|alibi| form.source(alibi)))
}

impl Cuda {
    /// Computes attention of a part of a batch.
    pub(in crate::cuda) fn attend_in_ring(
        &self,
        form: RingForm,
        task: Task<'_>,
        part: Part,
        out: &CudaTensor,
    ) -> Result<(), DeviceError> {
        let groups = part.most_rows.div_ceil(form.span);
        let blocks = part.count * task.heads * groups;
        let threads = WARPGROUP * form.warpgroups as u32;
        let grid = Grid { blocks: (blocks, 1), threads, shared: form.shared() };
        let qkv = task.qkv;
        let (pointer, size) = (qkv.block.pointer, (qkv.rows, qkv.columns));
        let boxed = (form.step, columns(form.width));
        let map = TensorMap::new(self.options.dtype, pointer, size, qkv.columns, boxed)?;
        let arguments = arguments![
            &map,
            pointer,
            task.packed.items_of(part),
            task.slopes,
            out.block.pointer,
            task.heads as i32,
            groups as i32,
            task.scale()
        ];
        // SAFETY: `attend` has checked the shapes; the items lie inside the batch; shared memory is as the kernel's header
        // lays it out.
        unsafe { self.kernels.launch(&form.source(task.has_alibi()), "attention", grid, &arguments) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_processor_fit_its_memory() {
        for form in FORMS {
            // On 9.0 the blocks of a processor share 228 KB; each takes 1 KB in addition to its own.
            assert!(form.blocks * (form.shared() + 1024) <= 228 << 10, "{form:?}");
        }
    }

    #[test]
    fn a_block_has_whole_passes() {
        assert!(FORMS.iter().all(|form| form.span > 0 && form.span % (ROWS * form.warpgroups) == 0));
    }
}
