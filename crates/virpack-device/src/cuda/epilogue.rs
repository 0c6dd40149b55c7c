//! What virpack's own products for compute capability 9.0 do before a result is stored.

use super::packed::CudaPacked;
use super::{Cuda, CudaMatrix, CudaVector};
use crate::{Attention, DeviceError, shapes};

/// What a kernel does with a product's sums.
#[derive(Clone, Copy, Debug)]
pub(super) enum KernelEpilogue {
    /// Nothing.
    None,
    /// GELU.
    Gelu,
    /// Rotary positions on heads of this width.
    Rotary(usize),
}

/// The epilogues that work on each value alone.
pub(super) const ELEMENTWISE: [KernelEpilogue; 1] = [KernelEpilogue::Gelu];

impl KernelEpilogue {
    /// Returns the numbers that the kernel is compiled with.
    pub(super) fn defines(self) -> [(&'static str, usize); 2] {
        let (gelu, width) = match self {
            KernelEpilogue::None => (0, 0),
            KernelEpilogue::Gelu => (1, 0),
            KernelEpilogue::Rotary(width) => (0, width),
        };
        [("GELU", gelu), ("WIDTH", width)]
    }
}

/// The arguments of rotary positions on the card.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    pub(super) positions: u64,
    pub(super) table: u64,
    /// Outputs that are rotated: those of queries and keys.
    pub(super) outputs: usize,
}

impl Cuda {
    /// Returns what a product needs to rotate queries and keys that are in neighbouring rows.
    pub(super) fn rotation(
        &self,
        rows: usize,
        weight: &CudaMatrix,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<Option<(KernelEpilogue, Rotation)>, DeviceError> {
        let (hidden, width) = packed.check_qkv([rows, weight.rows], attention.heads)?;
        let Some(ordered) = weight.neighbours else { return Ok(None) };
        shapes::ordered_heads(ordered, width)?;
        let table = self.rotary_table(width, packed.longest, &attention.rotary_frequencies)?;
        let rotation = Rotation { positions: packed.positions(), table: table.pointer, outputs: 2 * hidden };
        Ok(Some((KernelEpilogue::Rotary(width), rotation)))
    }

    /// Checks that a weight with queries and keys in neighbouring rows is used by a product that rotates
    /// them.
    pub(super) fn check_rotation(weight: &CudaMatrix, then: KernelEpilogue) -> Result<(), DeviceError> {
        match (weight.neighbours, then) {
            (None, _) | (Some(_), KernelEpilogue::Rotary(_)) => Ok(()),
            (Some(width), _) => {
                let expected = format!("`self_attention` with rotary positions on heads of {width}");
                Err(DeviceError::shape("linear", expected, format!("{then:?}")))
            }
        }
    }
}
