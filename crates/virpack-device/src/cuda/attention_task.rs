//! What every attention kernel gets.

use super::CudaTensor;
use super::packed::CudaPacked;

/// The input of every attention kernel, with checked shapes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    /// `[tokens, 3 · heads · width]`.
    pub(super) qkv: &'a CudaTensor,
    pub(super) packed: &'a CudaPacked,
    pub(super) heads: usize,
    /// Width of a head, in values.
    pub(super) width: usize,
    /// The address of ALiBi's slopes; 0 without ALiBi.
    pub(super) slopes: u64,
}

impl Task<'_> {
    /// Returns whether ALiBi's slopes are subtracted.
    pub(super) fn has_alibi(&self) -> bool {
        self.slopes != 0
    }

    pub(super) fn hidden(&self) -> usize {
        self.heads * self.width
    }

    /// Returns the factor of scores for powers of two: e^x = 2^(x · log2 e).
    pub(super) fn scale(&self) -> f32 {
        std::f32::consts::LOG2_E / (self.width as f32).sqrt()
    }
}
