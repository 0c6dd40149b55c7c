//! Where a model's tensors come from.

use crate::ModelError;
use crate::weights::Weights;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Where a model's tensors come from: files, or chance.
pub trait TensorSource {
    /// One tensor, float32 in C order, named as in Hugging Face's bare encoder.
    ///
    /// # Errors
    ///
    /// When there is no such tensor of this shape.
    ///
    /// ```
    /// use virpack_model::{RandomTensors, TensorSource};
    ///
    /// let random = RandomTensors { seed: 1 };
    /// let bias = random.read("encoder.layer.0.output.dense.bias", &[320])?;
    /// assert!(bias.len() == 320 && bias.iter().all(|value| value.abs() <= 0.02));
    /// assert_eq!(bias, random.read("encoder.layer.0.output.dense.bias", &[320])?);
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError>;

    /// Returns the names of tensors that end so.
    fn ending(&self, end: &str) -> Vec<&str>;
}

impl TensorSource for Weights {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        Weights::read(self, name, shape)
    }

    fn ending(&self, end: &str) -> Vec<&str> {
        Weights::ending(self, end)
    }
}

/// Random tensors of any shape, for measuring speed and memory without weights.
///
/// Matrices are spread as `1 / √inputs`, biases are small, norms near 1, so that activations neither die nor
/// explode. A tensor depends on the seed and its name alone.
#[derive(Clone, Copy, Debug)]
pub struct RandomTensors {
    /// Other seeds give other values.
    pub seed: u64,
}

/// Values that a thread draws at a time.
const PART: usize = 1 << 20;

/// Returns the `n`th value of splitmix64 from `begin` on, in -1 to 1. Each is computed by itself, so that
/// threads can divide a tensor.
fn drawn(begin: u64, n: usize) -> f32 {
    let state = begin.wrapping_add((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

impl TensorSource for RandomTensors {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let count = shape.iter().product();
        let (centre, spread) = match shape {
            [_, inputs] | [_, _, inputs] => (0.0, (3.0 / *inputs as f32).sqrt()),
            _ if name.ends_with("weight") => (1.0, 0.1),
            _ => (0.0, 0.02),
        };
        // FNV-1a of the name.
        let begin = name
            .bytes()
            .fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let mut values = vec![0.0; count];
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let parts = Mutex::new(values.chunks_mut(PART).enumerate());
        let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
        let draw = || {
            while let Some((i, part)) = next() {
                for (value, n) in part.iter_mut().zip(i * PART + 1..) {
                    *value = centre + spread * drawn(begin, n);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads.min(count.div_ceil(PART)) {
                // The parts of a thread that the system refuses are drawn by the others.
                let _ = thread::Builder::new().spawn_scoped(scope, draw);
            }
            draw();
        });
        Ok(values)
    }

    /// Only what a model cannot be without.
    fn ending(&self, _end: &str) -> Vec<&str> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_draw_what_one_would() {
        let count = 3 * PART + 5;
        let values = RandomTensors { seed: 7 }.read("weight", &[1, count]).unwrap();
        // splitmix64 as published, a state after the other.
        let mut state = b"weight"
            .iter()
            .fold(7 ^ 0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        let spread = (3.0 / count as f32).sqrt();
        for (i, value) in values.iter().enumerate() {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let expected = spread * (((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0);
            assert_eq!(*value, expected, "value {i} of {count}");
        }
    }
}
