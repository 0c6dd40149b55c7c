//! The launcher of attention on compute capability 9.0, of queries and keys that are already turned.

use super::kernel_source::{KernelSource, kernel_source};
use super::kernels::{Grid, arguments};
use super::packed::{CudaPacked, Part};
use super::tensor_map::TensorMap;
use super::{Cuda, CudaTensor};
use crate::DeviceError;

/// Keys that a run of `attention_whole.cu` has.
const RUN: usize = 56;

/// Threads of a warpgroup, and the rows it works on.
const TEAM: u32 = 128;
const ROWS: usize = 64;

/// One form of the kernels for compute capability 9.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HopperForm {
    width: usize,
    /// Heads a block.
    heads: usize,
    /// Blocks a processor: what registers are shared out for.
    blocks: usize,
    keys: Keys,
}

/// How a block holds a sequence's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// All of them, in so many runs.
    Whole { runs: usize },
    /// So many at a time, in a ring of so many places that so many warpgroups share.
    Ring { step: usize, stages: usize, teams: usize },
}

const fn whole(width: usize, heads: usize, runs: usize, blocks: usize) -> HopperForm {
    HopperForm { width, heads, blocks, keys: Keys::Whole { runs } }
}

const fn ring(width: usize, step: usize, stages: usize, teams: usize, blocks: usize) -> HopperForm {
    HopperForm { width, heads: 1, blocks, keys: Keys::Ring { step, stages, teams } }
}

/// The fastest of those tried (dev/cuda.md), for a width in the order of the lengths they take.
const FORMS: [HopperForm; 15] = [
    whole(16, 2, 1, 7),
    whole(16, 2, 3, 4),
    ring(16, 64, 3, 1, 5),
    whole(24, 2, 1, 7),
    whole(24, 2, 3, 4),
    ring(24, 64, 3, 1, 5),
    whole(32, 2, 1, 7),
    whole(32, 2, 3, 4),
    ring(32, 64, 3, 1, 5),
    whole(64, 1, 1, 6),
    whole(64, 1, 3, 4),
    ring(64, 64, 4, 2, 2),
    whole(128, 1, 1, 3),
    whole(128, 1, 3, 2),
    ring(128, 64, 3, 1, 2),
];

impl HopperForm {
    /// The form for heads of `width` and sequences of at most `longest` tokens.
    fn find(width: usize, longest: usize) -> Option<HopperForm> {
        let takes = |form: &HopperForm| match form.keys {
            Keys::Whole { runs } => longest <= runs * RUN,
            Keys::Ring { .. } => true,
        };
        FORMS.into_iter().find(|form| form.width == width && takes(form))
    }

    /// What it is compiled from, with ALiBi's slopes where `alibi`.
    fn source(self, alibi: bool) -> KernelSource {
        let source = match self.keys {
            Keys::Whole { runs } => kernel_source!(
                "attention_whole.cu" after "matrix_units.cuh", "wgmma.cuh", "attention_parts.cuh"
            )
            .define([("RUNS", runs)]),
            Keys::Ring { step, stages, teams } => kernel_source!(
                "attention_ring.cu" after "matrix_units.cuh", "bulk.cuh", "wgmma.cuh", "attention_parts.cuh"
            )
            .define([("STEP", step), ("STAGES", stages), ("TEAMS", teams)]),
        };
        let shape = [("WIDTH", self.width), ("HEADS", self.heads), ("BLOCKS", self.blocks)];
        source.with_large_shared().define(shape).define([("ALIBI", alibi.into())])
    }

    /// Warpgroups of a block.
    fn teams(self) -> usize {
        match self.keys {
            Keys::Whole { .. } => 1,
            Keys::Ring { teams, .. } => teams,
        }
    }

    /// Bytes of shared memory: rows of keys and of values, and of each warpgroup's queries; a ring's barriers.
    fn shared(self) -> usize {
        let (keys, barriers) = match self.keys {
            Keys::Whole { runs } => ((runs * RUN).next_multiple_of(16), 0),
            Keys::Ring { step, stages, .. } => (stages * step, 2 * stages * 8),
        };
        (2 * keys + ROWS * self.teams()) * self.heads * self.row() * 2 + barriers
    }

    /// Values of a head's row in shared memory: what can be swizzled.
    fn row(self) -> usize {
        self.width.next_power_of_two()
    }
}

/// Every form.
pub(super) fn sources() -> impl Iterator<Item = KernelSource> {
    FORMS.into_iter().flat_map(|form| [false, true].map(|alibi| form.source(alibi)))
}

impl Cuda {
    /// Attention by the kernels for 9.0: false where there are none for this card, dtype or width.
    pub(super) fn attend_on_hopper(
        &self,
        qkv: &CudaTensor,
        packed: &CudaPacked,
        heads: usize,
        slopes: u64,
        out: &CudaTensor,
    ) -> Result<bool, DeviceError> {
        let width = out.columns / heads;
        let usable = self.card.capability == 90 && self.bulk_copies && self.options.dtype.bytes() == 2;
        let parts: Vec<Part> =
            [packed.long, packed.short].into_iter().filter(|part| part.count > 0).collect();
        let forms = parts.iter().map(|part| HopperForm::find(width, part.longest));
        let Some(forms) = forms.collect::<Option<Vec<_>>>().filter(|_| usable) else { return Ok(false) };
        for (form, part) in forms.into_iter().zip(parts) {
            self.attend_part(form, packed, part, qkv, heads, slopes, out)?;
        }
        Ok(true)
    }

    /// Attention of one part of a batch.
    #[allow(clippy::too_many_arguments, reason = "the kernel's own arguments")]
    fn attend_part(
        &self,
        form: HopperForm,
        packed: &CudaPacked,
        part: Part,
        qkv: &CudaTensor,
        heads: usize,
        slopes: u64,
        out: &CudaTensor,
    ) -> Result<(), DeviceError> {
        let width = form.width;
        // Scores in powers of two: e^x = 2^(x · log2 e).
        let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
        let source = form.source(slopes != 0);
        let grid =
            |blocks| Grid { blocks: (blocks, 1), threads: TEAM * form.teams() as u32, shared: form.shared() };
        let size = (qkv.rows, qkv.columns);
        let (qkv, items, out) = (qkv.block.pointer, packed.items_of(part), out.block.pointer);
        // SAFETY: `attend` has checked the shapes; items of sequences that a block holds whole are whole
        // (`packed::SHORT`); shared memory is as the kernels' headers lay it out.
        unsafe {
            match form.keys {
                Keys::Whole { .. } => {
                    let arguments = arguments![qkv, items, slopes, out, heads as i32, scale];
                    let blocks = part.count * heads.div_ceil(form.heads);
                    self.kernels.launch(&source, "attention", grid(blocks), &arguments)
                }
                Keys::Ring { step, teams, .. } => {
                    let groups = part.most_rows.div_ceil(ROWS * teams);
                    let map =
                        TensorMap::new(self.options.dtype, qkv, size, size.1, (step, form.row().min(64)))?;
                    let arguments =
                        arguments![&map, qkv, items, slopes, out, heads as i32, groups as i32, scale];
                    let blocks = part.count * heads * groups;
                    self.kernels.launch(&source, "attention", grid(blocks), &arguments)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{SHORT, WHOLE};
    use super::*;

    #[test]
    fn a_block_holds_only_sequences_that_are_whole_items() {
        for form in FORMS {
            if let Keys::Whole { runs } = form.keys {
                assert!(runs * RUN <= SHORT, "{form:?}");
            }
            // What 9.0 has for a processor's blocks together, a kilobyte a block its own.
            assert!(form.blocks * (form.shared() + 1024) <= 228 << 10, "{form:?}");
        }
    }

    #[test]
    fn every_length_has_a_form() {
        for width in super::super::rotary::WIDTHS {
            assert_eq!(HopperForm::find(width, 56).unwrap().keys, Keys::Whole { runs: 1 });
            assert_eq!(HopperForm::find(width, WHOLE).unwrap().keys, Keys::Whole { runs: 3 });
            assert_eq!(HopperForm::find(width, 57).unwrap().keys, Keys::Whole { runs: 3 });
            assert!(matches!(HopperForm::find(width, WHOLE + 1).unwrap().keys, Keys::Ring { .. }));
        }
        assert_eq!(HopperForm::find(20, 10), None);
    }
}
