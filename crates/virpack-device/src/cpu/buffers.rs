//! Activations whose memory goes round.

use super::bf16;
use super::lines::Lines;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};

/// Activations on the CPU, `[rows, columns]`, float32 or bfloat16; its memory returns to the backend when
/// dropped.
#[derive(Debug)]
pub struct CpuTensor {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    precision: Precision,
    lines: Lines,
    /// The values of a bfloat16 tensor in float32, where they were asked for.
    widened: OnceLock<Vec<f32>>,
    home: Buffers,
}

/// The precision of a tensor's values, and how they lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    /// float32, row after row.
    F32,
    /// bfloat16, as [`bf16::Rows`] has them.
    Bf16,
}

impl CpuTensor {
    /// Row-major values, `[rows, columns]`. Those of a bfloat16 tensor are widened at the first call.
    pub fn values(&self) -> &[f32] {
        match self.precision {
            Precision::F32 => &self.lines.f32s()[..self.rows * self.columns],
            Precision::Bf16 => self.widened.get_or_init(|| {
                let rows = self.lines.u16s().chunks(bf16::stride(self.columns)).take(self.rows);
                rows.flat_map(|row| row[..self.columns].iter().map(|&v| bf16::widen(v))).collect()
            }),
        }
    }

    /// Returns the values of a float32 tensor.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        assert!(self.precision == Precision::F32, "a bfloat16 tensor is written as such");
        &mut self.lines.f32s_mut()[..self.rows * self.columns]
    }

    /// Returns the rows of a bfloat16 tensor; None for float32.
    pub(crate) fn bf16(&self) -> Option<bf16::Rows<'_>> {
        let rows = bf16::Rows { values: self.lines.u16s(), stride: bf16::stride(self.columns) };
        (self.precision == Precision::Bf16).then_some(rows)
    }

    /// Returns the values of a bfloat16 tensor, [`bf16::stride`] from row to row.
    pub(crate) fn bf16_mut(&mut self) -> &mut [u16] {
        assert!(self.precision == Precision::Bf16, "a float32 tensor is written as such");
        &mut self.lines.u16s_mut()[..self.rows * bf16::stride(self.columns)]
    }
}

impl Drop for CpuTensor {
    fn drop(&mut self) {
        self.home.put_back(std::mem::take(&mut self.lines));
    }
}

/// Idle buffers, shared by the tensors that came from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers {
    idle: Arc<Mutex<Vec<Lines>>>,
}

impl Buffers {
    /// Returns a float32 tensor whose values are whatever its memory held before: the caller writes every
    /// one.
    pub(crate) fn tensor(&self, rows: usize, columns: usize) -> CpuTensor {
        self.give(rows, columns, Precision::F32, rows * columns)
    }

    /// Returns the same in bfloat16. Columns that only products read are zeros, and rows that they read
    /// beyond the last may hold anything.
    pub(crate) fn bf16_tensor(&self, rows: usize, columns: usize) -> CpuTensor {
        let needed = bf16::memory(rows, columns);
        let mut tensor = self.give(rows, columns, Precision::Bf16, needed);
        if bf16::padded(columns) > columns {
            for row in tensor.bf16_mut().chunks_exact_mut(bf16::stride(columns)) {
                row[columns..].fill(0);
            }
        }
        tensor
    }

    /// Returns an idle buffer if one is large enough and less than twice too large, so that a batch a little
    /// longer than the last replaces its buffers instead of adding to them.
    fn give(&self, rows: usize, columns: usize, precision: Precision, needed: usize) -> CpuTensor {
        let mut idle = self.idle.lock();
        let fit = (0..idle.len())
            .filter(|&i| idle[i].len() >= needed && idle[i].len() / 2 <= needed)
            .min_by_key(|&i| idle[i].len());
        let lines = match fit {
            Some(i) => idle.swap_remove(i),
            None => {
                // The nearest smaller one would only lie idle from now on.
                if let Some(i) = (0..idle.len())
                    .filter(|&i| idle[i].len() < needed && idle[i].len() >= needed / 2)
                    .max_by_key(|&i| idle[i].len())
                {
                    idle.swap_remove(i);
                }
                Lines::zeroed(needed)
            }
        };
        CpuTensor { rows, columns, precision, lines, widened: OnceLock::new(), home: self.clone() }
    }

    fn put_back(&self, lines: Lines) {
        self.idle.lock().push(lines);
    }
}
