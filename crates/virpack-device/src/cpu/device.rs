//! What the CPU is and what models take on it.

use super::bf16::{self, attention, row_block};
use super::{Bf16Instructions, Cpu};
use crate::{
    Device, DeviceError, Dtype, MemoryLimit, ModelFootprint, ModelShape, available_memory, memory_limit,
};

/// Most tokens in a batch on a CPU unless asked otherwise: more bring no speed there.
pub const CPU_TOKEN_BUDGET: usize = 4096;

/// Bytes left to the reader, the queues and the writer on a CPU, which take them of the same memory: 12 MB of
/// records that wait to be packed, batches, blocks of text, rows (dev/hostile.md).
const CPU_SPARE: u64 = 24 << 20;

impl Cpu {
    /// Returns the instructions in use, and the precision where it is not float32.
    pub(super) fn arithmetic(&self) -> String {
        match self.bf16_instructions() {
            None => self.instructions().to_owned(),
            Some(Bf16Instructions::Widened) => format!("{}, bfloat16", self.instructions()),
            Some(instructions) => format!("{instructions}, bfloat16"),
        }
    }

    /// Returns the footprint: the embedding table and two tensors are float32, the residual stream and the
    /// last norm's rows, whose memory what is normed before products takes meanwhile. All else that grows
    /// with the model or the batch is bfloat16. The allocator may keep the float32 values from which the
    /// largest matrix was packed.
    fn bf16_footprint(&self, model: &ModelShape, longest: usize) -> ModelFootprint {
        let values = size_of::<f32>() as u64;
        let table = model.matrices.first().copied().unwrap_or(0);
        let rows = |width: &usize| (bf16::memory(1 << 10, *width) as u64 * values) >> 10;
        let (wide, rounded) = model.widths.split_at(model.widths.len().min(2));
        let scratch = attention::scratch(longest, model.head_width) as u64;
        let scratch = scratch.saturating_add(row_block::scratch(&model.products) as u64);
        let angles =
            longest.checked_next_power_of_two().unwrap_or(usize::MAX).saturating_mul(model.head_width);
        let loaded = model.products.iter().map(|[outputs, inputs]| outputs * inputs).max().unwrap_or(0);
        let workspace = scratch.saturating_mul(self.threads() as u64);
        let workspace = workspace.saturating_add(angles as u64).saturating_add(loaded as u64);
        ModelFootprint {
            weights: (table + model.vector_values) * values
                + model.matrices.iter().skip(1).sum::<u64>() * Dtype::Bf16.bytes() as u64,
            workspace: workspace.saturating_mul(values),
            bytes_per_token: wide.iter().sum::<usize>() as u64 * values
                + rounded.iter().map(rows).sum::<u64>(),
            bytes_per_sequence: model.pooled as u64 * values,
        }
    }
}

impl Device for Cpu {
    fn name(&self) -> String {
        format!("CPU, {} threads, {}", self.threads(), self.arithmetic())
    }

    fn dtype(&self) -> Dtype {
        if self.bf16_instructions().is_some() { Dtype::Bf16 } else { Dtype::F32 }
    }

    fn is_reference(&self) -> bool {
        self.dtype() == Dtype::F32
    }

    /// bfloat16 where the processor was measured to multiply it faster than float32 (`dev/cpu_bf16.md`).
    fn faster_dtype(&self) -> Option<Dtype> {
        let is_faster =
            matches!(Bf16Instructions::fastest(), Bf16Instructions::Amx | Bf16Instructions::Avx512);
        (self.dtype() == Dtype::F32 && is_faster).then_some(Dtype::Bf16)
    }

    fn footprint(&self, model: &ModelShape, longest: usize, _: bool) -> ModelFootprint {
        let values = size_of::<f32>() as u64;
        if self.dtype() == Dtype::Bf16 {
            return self.bf16_footprint(model, longest);
        }
        let table = model.matrices.first().copied().unwrap_or(0);
        let products = model.matrices.iter().skip(1).sum::<u64>();
        let of_a_product = if model.stored_in_16_bits { size_of::<u16>() as u64 } else { values };
        ModelFootprint {
            weights: (table + model.vector_values) * values + products * of_a_product,
            workspace: self.workspace(model, longest),
            bytes_per_token: model.widths.iter().sum::<usize>() as u64 * values,
            bytes_per_sequence: model.pooled as u64 * values,
        }
    }

    fn free(&self) -> Result<Option<u64>, DeviceError> {
        Ok(available_memory())
    }

    fn memory_limit(&self) -> Option<MemoryLimit> {
        memory_limit()
    }

    fn spare(&self) -> u64 {
        CPU_SPARE
    }

    fn most_tokens(&self, _: &ModelShape) -> usize {
        CPU_TOKEN_BUDGET
    }

    /// Memory comes as it is asked for.
    fn reserve(&self, _: &ModelShape, _: usize, _: usize, _: bool) -> Result<(), DeviceError> {
        Ok(())
    }
}
