//! Memory that begins at a cache line, for values of four bytes or two.

use pulp::bytemuck::{cast_slice, cast_slice_mut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// float32 values of a line.
pub(crate) const LINE_VALUES: usize = LINE / size_of::<f32>();

/// Zeros at first, from the beginning of a cache line. The system gives the memory as it is first written, so
/// that the thread that works on a part takes it.
#[derive(Debug)]
pub(crate) struct Lines {
    /// `LINE_VALUES - 1` more than are asked for.
    memory: Vec<f32>,
    start: usize,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::zeroed(0)
    }
}

impl Lines {
    /// Room for `values` float32 values.
    pub(crate) fn zeroed(values: usize) -> Lines {
        let memory = vec![0.0; values + LINE_VALUES - 1];
        // The vector is never resized, so that its memory stays where it is.
        let start = memory.as_ptr().align_offset(LINE).min(LINE_VALUES - 1);
        Lines { memory, start }
    }

    /// float32 values it has room for.
    pub(crate) fn len(&self) -> usize {
        self.memory.len() - (LINE_VALUES - 1)
    }

    /// Replaces it by zeros where it has less room than `values` float32 values.
    pub(crate) fn at_least(&mut self, values: usize) {
        if self.len() < values {
            *self = Lines::zeroed(values);
        }
    }

    pub(crate) fn f32s(&self) -> &[f32] {
        &self.memory[self.start..][..self.len()]
    }

    pub(crate) fn f32s_mut(&mut self) -> &mut [f32] {
        let values = self.len();
        &mut self.memory[self.start..][..values]
    }

    /// Returns the same memory as pairs of bfloat16 values.
    pub(crate) fn u32s(&self) -> &[u32] {
        cast_slice(self.f32s())
    }

    pub(crate) fn u32s_mut(&mut self) -> &mut [u32] {
        cast_slice_mut(self.f32s_mut())
    }

    /// Returns the same memory as bfloat16 values, twice as many.
    pub(crate) fn u16s(&self) -> &[u16] {
        cast_slice(self.f32s())
    }

    pub(crate) fn u16s_mut(&mut self) -> &mut [u16] {
        cast_slice_mut(self.f32s_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_begins_at_a_line_wherever_it_lies() {
        let kept: Vec<Lines> = (0..40).map(|n| Lines::zeroed(n * 7)).collect();
        for (n, lines) in kept.iter().enumerate() {
            assert_eq!(lines.f32s().as_ptr().align_offset(LINE), 0);
            assert_eq!([lines.len(), lines.f32s().len(), lines.u16s().len()], [n * 7, n * 7, n * 14]);
        }
    }
}
