//! Launches `attention.cu`: attention on the matrix units of every card.

use crate::DeviceError;
use crate::cuda::attention_task::Task;
use crate::cuda::kernel_source::{KernelSource, kernel_source};
use crate::cuda::kernels::{Grid, arguments};
use crate::cuda::packed::SHORT;
use crate::cuda::{Cuda, CudaTensor};

/// One form of the matrix-unit kernel.
#[derive(Clone, Copy, Debug)]
pub(in crate::cuda) struct KernelForm {
    /// Width of a head.
    width: usize,
    /// Heads of a block.
    heads: usize,
    /// Threads of a block.
    threads: usize,
    /// Blocks of a processor, which share its registers.
    blocks: usize,
    /// Tiles of 16 rows for each warp.
    tiles: usize,
    /// Keys of a softmax step.
    step: usize,
    /// Keys of one chunk of a long sequence.
    chunk: usize,
    /// Keys that fit into a block; 0: as many as the longest sequence has.
    capacity: usize,
}

const fn form(
    width: usize,
    heads: usize,
    threads: usize,
    blocks: usize,
    tiles: usize,
    step: usize,
) -> KernelForm {
    // 8 KB of keys.
    let chunk = match width {
        0..=16 => 256,
        17..=32 => 128,
        _ => 64,
    };
    KernelForm { width, heads, threads, blocks, tiles, step, chunk, capacity: 0 }
}

/// The forms for batches of short sequences, the fastest of those tried (dev/cuda.md). A block has several
/// heads, so that a row's piece is at least 64 bytes and all heads share the angles of a rotation.
const SHORT_FORMS: [KernelForm; 5] = [
    form(16, 2, 128, 6, 1, 32),
    form(24, 2, 128, 4, 1, 64),
    form(32, 2, 128, 4, 2, 32),
    form(64, 2, 256, 2, 1, 64),
    form(128, 1, 128, 2, 1, 64),
];

/// The forms for batches with longer sequences, with room for four chunks.
const LONG_FORMS: [KernelForm; 5] = [
    long(form(16, 1, 256, 4, 1, 32)),
    long(form(24, 1, 256, 2, 1, 64)),
    long(form(32, 1, 256, 3, 1, 32)),
    long(form(64, 1, 256, 2, 1, 64)),
    long(form(128, 1, 256, 1, 1, 64)),
];

const fn long(form: KernelForm) -> KernelForm {
    KernelForm { capacity: 4 * form.chunk, ..form }
}

/// The forms for compute capability 7.5, whose processors have 64 KB of shared memory and 1,024 threads. Two
/// chunks of 4 KB of keys let a processor hold two blocks of eight warps (one for heads of 128).
const TURING_FORMS: [KernelForm; 5] = [
    turing(form(16, 1, 256, 3, 1, 32), 128),
    turing(form(24, 1, 256, 2, 1, 64), 64),
    turing(form(32, 1, 256, 2, 1, 64), 64),
    turing(form(64, 1, 256, 2, 1, 32), 32),
    turing(form(128, 1, 256, 1, 1, 32), 32),
];

const fn turing(form: KernelForm, chunk: usize) -> KernelForm {
    KernelForm { chunk, capacity: 2 * chunk, ..form }
}

/// Returns the values of a head's row in shared memory.
pub(super) const fn depth(width: usize) -> usize {
    width.next_multiple_of(16)
}

impl KernelForm {
    /// Returns the form for heads of `width` and a batch whose longest sequence has `longest` tokens, within
    /// `limit` bytes of shared memory. `turing`: on compute capability 7.5.
    pub(in crate::cuda) fn find(
        width: usize,
        longest: usize,
        limit: usize,
        turing: bool,
    ) -> Option<KernelForm> {
        let fits =
            |form: &KernelForm| form.width == width && form.shared(form.capacity(longest, limit)) <= limit;
        if turing {
            return TURING_FORMS.into_iter().find(fits);
        }
        let short = SHORT_FORMS.into_iter().filter(|_| longest <= SHORT);
        short.chain(LONG_FORMS).find(fits)
    }

    /// Returns its source; `alibi`: with ALiBi's slopes.
    fn source(self, alibi: bool) -> KernelSource {
        kernel_source!(
            "attention.cu" after "matrix_units.cuh", "attention_rows.cuh", "attention_step.cuh"
        )
        .with_large_shared()
        .define([
            ("WIDTH", self.width),
            ("HEADS", self.heads),
            ("THREADS", self.threads),
            ("BLOCKS", self.blocks),
            ("TILES", self.tiles),
            ("STEP", self.step),
            ("DEPTH", depth(self.width)),
            ("CHUNK", self.chunk),
            ("ALIBI", alibi.into()),
        ])
    }

    fn row_bytes(self) -> usize {
        depth(self.width) * 2
    }

    /// Returns the bytes of shared memory for `capacity` keys and their values, and the queries of each warp.
    fn shared(self, capacity: usize) -> usize {
        (2 * self.heads * capacity + self.threads / 32 * 16 * self.tiles) * self.row_bytes()
    }

    /// Returns how many keys fit into a block: as many as the longest sequence has, or chunks of 64 keys of
    /// 64 values (or as many bytes) within `limit` bytes.
    fn capacity(self, longest: usize, limit: usize) -> usize {
        let chunk = self.chunk;
        match self.capacity {
            0 => longest.next_multiple_of(16),
            wanted => (2..=wanted / chunk)
                .rev()
                .map(|n| n * chunk)
                .find(|c| self.shared(*c) <= limit)
                .unwrap_or(wanted),
        }
    }
}

/// Returns the sources of all forms. `turing`: on compute capability 7.5.
pub(super) fn sources(turing: bool) -> impl Iterator<Item = KernelSource> {
    let others = SHORT_FORMS.into_iter().chain(LONG_FORMS).filter(move |_| !turing);
    let forms = TURING_FORMS.into_iter().filter(move |_| turing).chain(others);
    forms.flat_map(|form| [false, true].map(|alibi| form.source(alibi)))
}

impl Cuda {
    /// Computes attention on the matrix units. Rotates first by the rotary table at `table`, unless that is
    /// 0.
    pub(in crate::cuda) fn attend_on_matrix_units(
        &self,
        form: KernelForm,
        task: Task<'_>,
        table: u64,
        out: &CudaTensor,
    ) -> Result<(), DeviceError> {
        let capacity = form.capacity(task.packed.longest, self.kernels.shared_limit);
        let blocks = (task.packed.items, task.heads.div_ceil(form.heads));
        let grid = Grid { blocks, threads: form.threads as u32, shared: form.shared(capacity) };
        let arguments = arguments![
            task.qkv.block.pointer,
            task.packed.items(),
            table,
            task.slopes,
            out.block.pointer,
            task.heads as i32,
            capacity as i32,
            task.scale()
        ];
        // SAFETY: shapes as checked by `attend`; shared memory as the kernel's header lays it out.
        unsafe { self.kernels.launch(&form.source(task.has_alibi()), "attention", grid, &arguments) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blocks_fit_a_processor_of_7_5() {
        const LIMIT: usize = 64 << 10;
        for form in TURING_FORMS {
            assert!(form.threads * form.blocks <= 1024 && form.blocks * form.shared(form.capacity) <= LIMIT);
            // Sums have the same order, whether a sequence fits or is divided into chunks.
            assert_eq!((form.chunk % form.step, form.capacity % form.chunk), (0, 0));
            for longest in [1, 50, 192, 193, 8192] {
                let found =
                    KernelForm::find(form.width, longest, LIMIT, true).expect("a form for every length");
                assert_eq!((found.width, found.capacity(longest, LIMIT)), (form.width, form.capacity));
            }
        }
    }
}
