//! What the CPU is and what models take on it.

use super::Cpu;
use crate::{Device, DeviceError, Dtype, ModelFootprint, ModelShape, available_memory};

/// Most tokens in a batch on a CPU unless asked otherwise: more bring no speed there.
pub const CPU_TOKEN_BUDGET: usize = 4096;

/// Bytes left to the reader, the queues and the writer on a CPU, which take them of the same memory: 12 MB of
/// records that wait to be packed, batches, blocks of text, rows (dev/hostile.md).
const CPU_SPARE: u64 = 24 << 20;

impl Device for Cpu {
    fn name(&self) -> String {
        format!("CPU, {} threads, {}", self.threads(), self.instructions())
    }

    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn is_reference(&self) -> bool {
        true
    }

    fn footprint(&self, model: &ModelShape, longest: usize, _: bool) -> ModelFootprint {
        let values = size_of::<f32>() as u64;
        ModelFootprint {
            weights: (model.matrices.iter().sum::<u64>() + model.vector_values) * values,
            workspace: self.workspace(&model.products, longest, model.head_width),
            bytes_per_token: model.widths.iter().sum::<usize>() as u64 * values,
            bytes_per_sequence: model.hidden as u64 * values,
        }
    }

    fn free(&self) -> Result<Option<u64>, DeviceError> {
        Ok(available_memory())
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
