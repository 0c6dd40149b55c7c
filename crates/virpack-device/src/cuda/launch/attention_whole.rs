//! Launches `attention_whole.cu`: attention of short sequences on compute capability 9.0. Queries and keys
//! are already rotated.

use crate::DeviceError;
use crate::cuda::attention_task::Task;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, WARPGROUP, arguments};
use crate::cuda::packed::Part;
use crate::cuda::{Cuda, CudaTensor};

/// Keys of a run: one product of a warpgroup gives their scores.
const RUN: usize = 56;

/// Rows of a warpgroup.
pub(super) const ROWS: usize = 64;

/// A form of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cuda) struct WholeForm {
    /// Width of a head.
    width: usize,
    /// Heads of a block.
    heads: usize,
    /// Runs of keys that fit into a block.
    pub(in crate::cuda) runs: usize,
    /// Blocks of a processor, which share its registers.
    blocks: usize,
}

const fn form(width: usize, heads: usize, runs: usize, blocks: usize) -> WholeForm {
    WholeForm { width, heads, runs, blocks }
}

/// The fastest of those tried (dev/cuda.md). The forms of a width are in the order of the lengths that they
/// take.
const FORMS: [WholeForm; 10] = [
    form(16, 2, 1, 7),
    form(16, 2, 3, 4),
    form(24, 2, 1, 7),
    form(24, 2, 3, 4),
    form(32, 2, 1, 7),
    form(32, 2, 3, 4),
    form(64, 1, 1, 6),
    form(64, 1, 3, 4),
    form(128, 1, 1, 3),
    form(128, 1, 3, 2),
];

/// Returns the values of a head's row in shared memory, a size that can be swizzled.
pub(super) fn row(width: usize) -> usize {
    width.next_power_of_two()
}

/// Returns the values of a tile's row in shared memory: those of a head or of half of one, at most 128 bytes.
pub(super) fn columns(width: usize) -> usize {
    row(width).min(64)
}

/// Returns the numbers that both kernels for 9.0 are compiled with, for heads of `width`.
pub(super) fn tile_defines(width: usize) -> [(&'static str, usize); 4] {
    let (row, columns) = (row(width), columns(width));
    [("ROW", row), ("COLUMNS", columns), ("ROWS", ROWS), ("WARPGROUP", WARPGROUP as usize)]
}

impl WholeForm {
    /// Returns the form for heads of `width` and sequences of at most `longest` tokens.
    pub(in crate::cuda) fn find(width: usize, longest: usize) -> Option<WholeForm> {
        FORMS.into_iter().find(|form| form.width == width && longest <= form.runs * RUN)
    }

    /// Returns its source; `alibi`: with ALiBi's slopes.
    fn source(self, alibi: bool) -> KernelSource {
        kernel_source!("attention_whole.cu" after "matrix_units.cuh", "wgmma.cuh", "attention_parts.cuh")
            .with_large_shared()
            .define([
                ("WIDTH", self.width),
                ("HEADS", self.heads),
                ("RUNS", self.runs),
                ("RUN", RUN),
                ("BLOCKS", self.blocks),
                ("ALIBI", alibi.into()),
            ])
            .define(tile_defines(self.width))
    }

    /// Returns the bytes of shared memory: rows of keys, of values and of queries.
    fn shared(self) -> usize {
        let keys = (self.runs * RUN).next_multiple_of(16);
        (2 * keys + ROWS) * self.heads * row(self.width) * 2
    }
}

/// Returns the sources of all forms.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    FORMS.into_iter().flat_map(|form| [false, true].map(|alibi| form.source(alibi)))
}

impl Cuda {
    /// Computes attention of a part of a batch whose sequences are whole items.
    pub(in crate::cuda) fn attend_whole(
        &self,
        form: WholeForm,
        task: Task<'_>,
        part: Part,
        out: &CudaTensor,
    ) -> Result<(), DeviceError> {
        let blocks = part.count * task.heads.div_ceil(form.heads);
        let grid = Grid { blocks: (blocks, 1), threads: WARPGROUP, shared: form.shared() };
        let arguments = arguments![
            task.qkv.block.pointer,
            task.packed.items_of(part),
            task.slopes,
            out.block.pointer,
            task.heads as i32,
            task.scale()
        ];
        // SAFETY: `attend` has checked the shapes; the part's sequences are whole items (`packed::SHORT`); shared memory is
        // as the kernel's header lays it out.
        unsafe { self.kernels.launch(&form.source(task.has_alibi()), "attention", grid, &arguments) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::packed::SHORT;

    #[test]
    fn a_block_holds_only_sequences_that_are_whole_items() {
        for form in FORMS {
            assert!(form.runs * RUN <= SHORT, "{form:?}");
            // On 9.0 the blocks of a processor share 228 KB; each takes 1 KB in addition to its own.
            assert!(form.blocks * (form.shared() + 1024) <= 228 << 10, "{form:?}");
        }
    }
}
