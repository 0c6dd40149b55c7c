//! The launchers of attention.

use super::kernel_source::{KernelSource, kernel_source};
use super::kernels::{Grid, arguments};
use super::launch;
use super::packed::{CudaPacked, SHORT};
use super::{Cuda, CudaTensor, CudaVector};
use crate::{Attention, DeviceError, shapes};

/// One form of the matrix-unit kernel.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Width of a head.
    width: usize,
    /// Heads a block.
    heads: usize,
    /// Threads a block.
    threads: usize,
    /// Blocks a processor: what registers are shared out for.
    blocks: usize,
    /// Tiles of 16 rows a warp.
    tiles: usize,
    /// Keys a softmax step.
    step: usize,
    /// Keys a block has room for; 0: as many as the longest sequence has.
    capacity: usize,
}

const fn form(width: usize, heads: usize, threads: usize, blocks: usize, tiles: usize, step: usize) -> Form {
    Form { width, heads, threads, blocks, tiles, step, capacity: 0 }
}

/// The forms for batches of short sequences, the fastest of those tried (dev/cuda.md): several heads a block, so that
/// a row's piece is 64 bytes or more and a rotation's angles serve all of them.
const SHORT_FORMS: [Form; 5] = [
    form(16, 2, 128, 6, 1, 32),
    form(24, 2, 128, 4, 1, 64),
    form(32, 2, 128, 4, 2, 32),
    form(64, 2, 256, 2, 1, 64),
    form(128, 1, 128, 2, 1, 64),
];

/// The forms for batches with longer ones: room for four of the kernel's chunks.
const LONG_FORMS: [Form; 5] = [
    Form { capacity: 1024, ..form(16, 1, 256, 4, 1, 32) },
    Form { capacity: 512, ..form(24, 1, 256, 2, 1, 64) },
    Form { capacity: 512, ..form(32, 1, 256, 3, 1, 32) },
    Form { capacity: 256, ..form(64, 1, 256, 2, 1, 64) },
    Form { capacity: 256, ..form(128, 1, 256, 1, 1, 64) },
];

impl Form {
    /// What it is compiled from, with ALiBi's slopes where `alibi`.
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
            ("ALIBI", alibi.into()),
        ])
    }

    fn row_bytes(self) -> usize {
        self.width.next_multiple_of(16) * 2
    }

    /// Bytes of shared memory with room for `capacity` keys: those and their values, a warp's queries.
    fn shared(self, capacity: usize) -> usize {
        (2 * self.heads * capacity + self.threads / 32 * 16 * self.tiles) * self.row_bytes()
    }

    /// Keys that a block has room for: as many as the longest sequence has, or chunks of 64 keys of 64 values (or
    /// as many bytes) within `limit` bytes.
    fn capacity(self, longest: usize, limit: usize) -> usize {
        let chunk = self.capacity / 4;
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

/// Every form of the matrix-unit kernel.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    let forms = SHORT_FORMS.into_iter().chain(LONG_FORMS);
    forms.flat_map(|form| [false, true].map(|alibi| form.source(alibi)))
}

impl Cuda {
    /// Attention of `qkv`, rotated on the way in where `rotated`.
    pub(super) fn attend(
        &self,
        qkv: &CudaTensor,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
        rotated: bool,
    ) -> Result<CudaTensor, DeviceError> {
        let heads = attention.heads;
        let (hidden, width) = packed.check_qkv([qkv.rows, qkv.columns], heads)?;
        shapes::slopes(heads, attention.alibi_slopes.as_ref().map(|slopes| slopes.len))?;
        let slopes = attention.alibi_slopes.as_ref().map_or(0, |s| s.exact.pointer);
        if self.has_pairs() {
            if rotated {
                self.rotate(qkv, packed, attention)?;
            }
            if let Some(out) = self.pairs_attention(qkv, packed, heads, slopes)? {
                return Ok(out);
            }
        }
        // Where pairs have no kernel the queries and keys are rotated by now.
        let (rotated, qkv) = (rotated && !self.has_pairs(), &*self.plain(qkv)?);
        let out = self.tensor(packed.tokens, hidden)?;
        if !rotated && self.attend_on_hopper(qkv, packed, heads, slopes, &out)? {
            return Ok(out);
        }
        let limit = self.kernels.shared_limit;
        let fits =
            |form: &Form| form.width == width && form.shared(form.capacity(packed.longest, limit)) <= limit;
        let short = SHORT_FORMS.into_iter().filter(|_| packed.longest <= SHORT);
        let form = short.chain(LONG_FORMS).find(fits);
        match form.filter(|_| !self.options.dtype.is_float32()) {
            Some(form) => {
                let frequencies = &attention.rotary_frequencies;
                let table =
                    rotated.then(|| self.rotary_table(width, packed.longest, frequencies)).transpose()?;
                let table = table.as_ref().map_or(0, |t| t.pointer);
                self.attend_on_matrix_units(qkv, packed, form, table, slopes, &out)?;
            }
            None => {
                if rotated {
                    self.rotate(qkv, packed, attention)?;
                }
                let threads = 256;
                let blocks = (packed.items, heads);
                let grid = Grid { blocks, threads, shared: threads as usize / 32 * width * size_of::<f32>() };
                let scale = 1.0 / (width as f32).sqrt();
                let arguments = arguments![
                    qkv.block.pointer,
                    packed.items(),
                    slopes,
                    out.block.pointer,
                    heads as i32,
                    width as i32,
                    scale
                ];
                // SAFETY: shapes as checked; the items lie inside the batch.
                unsafe { self.kernels.launch(&launch::attention_any(), "attention_any", grid, &arguments)? };
            }
        }
        Ok(out)
    }

    fn attend_on_matrix_units(
        &self,
        qkv: &CudaTensor,
        packed: &CudaPacked,
        form: Form,
        table: u64,
        slopes: u64,
        out: &CudaTensor,
    ) -> Result<(), DeviceError> {
        let heads = out.columns / form.width;
        let capacity = form.capacity(packed.longest, self.kernels.shared_limit);
        let shared = form.shared(capacity);
        let blocks = (packed.items, heads.div_ceil(form.heads));
        let grid = Grid { blocks, threads: form.threads as u32, shared };
        // Scores in powers of two: e^x = 2^(x · log2 e).
        let scale = std::f32::consts::LOG2_E / (form.width as f32).sqrt();
        let arguments = arguments![
            qkv.block.pointer,
            packed.items(),
            table,
            slopes,
            out.block.pointer,
            heads as i32,
            capacity as i32,
            scale
        ];
        // SAFETY: shapes as checked by the caller; shared memory as the kernel's header lays it out.
        unsafe { self.kernels.launch(&form.source(slopes != 0), "attention", grid, &arguments) }
    }
}
