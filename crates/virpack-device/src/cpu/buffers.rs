//! Activations whose memory goes round.

use crate::relock::Relock;
use std::sync::{Arc, Mutex};

/// Activations on the CPU, `[rows, columns]` float32; its memory returns to the backend when dropped.
#[derive(Debug)]
pub struct CpuTensor {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    buffer: Vec<f32>,
    home: Buffers,
}

impl CpuTensor {
    /// Row-major values, `[rows, columns]`.
    pub fn values(&self) -> &[f32] {
        &self.buffer[..self.rows * self.columns]
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.rows * self.columns]
    }
}

impl Drop for CpuTensor {
    fn drop(&mut self) {
        self.home.put_back(std::mem::take(&mut self.buffer));
    }
}

/// Idle buffers, shared by the tensors that came from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers {
    idle: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Buffers {
    /// A tensor whose values are whatever its memory held before: the caller writes every one.
    ///
    /// An idle buffer serves when it is large enough and less than twice too large, so that a batch a little
    /// longer than the last replaces its buffers instead of adding to them.
    pub(crate) fn tensor(&self, rows: usize, columns: usize) -> CpuTensor {
        let needed = rows * columns;
        let mut idle = self.idle.relock();
        let fit = (0..idle.len())
            .filter(|&i| idle[i].len() >= needed && idle[i].len() / 2 <= needed)
            .min_by_key(|&i| idle[i].len());
        let buffer = match fit {
            Some(i) => idle.swap_remove(i),
            None => {
                // The nearest smaller one would only lie idle from now on.
                if let Some(i) = (0..idle.len())
                    .filter(|&i| idle[i].len() < needed && idle[i].len() >= needed / 2)
                    .max_by_key(|&i| idle[i].len())
                {
                    idle.swap_remove(i);
                }
                vec![0.0; needed]
            }
        };
        CpuTensor { rows, columns, buffer, home: self.clone() }
    }

    fn put_back(&self, buffer: Vec<f32>) {
        self.idle.relock().push(buffer);
    }
}
