//! One tensor in a mapped file, and its conversion to f32.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::Dtype;

use crate::location::Bytes;

/// Values converted between two releases of file pages: 4 MiB of f32, so that neither the pages nor the calls count.
const PIECE: usize = 1 << 20;

/// A tensor in a file: what it is called there, and which bytes are its values.
///
/// Made only by the readers of this module, which check that every value lies in `storage` and that
/// `storage` lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name in the file.
    pub name: String,
    /// What its values are.
    pub dtype: Dtype,
    /// Its shape; no dimension at all for a scalar.
    pub shape: Vec<usize>,
    /// Values to step over for one step along each dimension.
    pub strides: Vec<usize>,
    /// Bytes in the file, from its first value to the end of its last.
    pub storage: Range<usize>,
}

impl StoredTensor {
    /// Returns how many values it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns whether it has no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of its values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.bitsize() / 8
    }

    /// Returns whether its values are floats that virpack converts: F32, F16, BF16, F64.
    #[must_use]
    pub fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64)
    }

    /// Reads all values as f32 in C order and gives their pages in `file` back.
    ///
    /// # Panics
    ///
    /// Where `storage` is not within `file` or the values are not floats: callers check both.
    pub(super) fn read(&self, file: &Bytes) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.len());
        if self.is_contiguous() {
            let width = self.dtype.bitsize() / 8;
            let mut start = self.storage.start;
            while start < self.storage.end {
                let piece = start..self.storage.end.min(start + PIECE * width);
                let bytes = file.bytes(piece.clone()).expect("checked when the file was opened");
                convert(self.dtype, bytes, &mut values);
                start = piece.end;
                file.release(piece);
            }
        } else {
            let bytes = file.bytes(self.storage.clone()).expect("checked when the file was opened");
            self.gather(bytes, &mut values);
            file.release(self.storage.clone());
        }
        values
    }

    /// Returns the first and last few hundred values as bits of f32, or of all bytes if they are not
    /// floats.
    pub(super) fn ends(&self, file: &Bytes) -> Vec<u32> {
        const VALUES: usize = 512;
        if !self.is_float() {
            let bytes = file.bytes(self.storage.clone()).expect("checked when the file was opened");
            return bytes.iter().take(8 * VALUES).map(|byte| u32::from(*byte)).collect();
        }
        let values = if self.is_contiguous() {
            let piece = VALUES * (self.dtype.bitsize() / 8);
            let Range { start, end } = self.storage;
            let first = start..end.min(start + piece);
            let last = first.end.max(end.saturating_sub(piece))..end;
            let mut values = Vec::with_capacity(2 * VALUES);
            for piece in [first, last] {
                let bytes = file.bytes(piece.clone()).expect("checked when the file was opened");
                convert(self.dtype, bytes, &mut values);
                file.release(piece);
            }
            values
        } else {
            let mut values = self.read(file);
            let last = values.len().saturating_sub(VALUES).max(VALUES.min(values.len()));
            values.drain(VALUES.min(values.len())..last);
            values
        };
        values.into_iter().map(f32::to_bits).collect()
    }

    /// Returns whether the values lie in C order without gaps.
    fn is_contiguous(&self) -> bool {
        self.strides == contiguous_strides(&self.shape) || self.len() <= 1
    }

    /// Reads value by value in C order, counting through the indices like an odometer.
    fn gather(&self, bytes: &[u8], values: &mut Vec<f32>) {
        let width = self.dtype.bitsize() / 8;
        let mut index = vec![0; self.shape.len()];
        for _ in 0..self.len() {
            let at: usize = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
            convert(self.dtype, &bytes[at * width..(at + 1) * width], values);
            for dimension in (0..index.len()).rev() {
                index[dimension] += 1;
                if index[dimension] < self.shape[dimension] {
                    break;
                }
                index[dimension] = 0;
            }
        }
    }
}

/// Returns the strides of a tensor in C order without gaps; zero-sized and one-sized dimensions as torch
/// writes them.
pub(super) fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for dimension in (1..shape.len()).rev() {
        // A shape that is checked before cannot overflow; one that is not must not panic either.
        strides[dimension - 1] = strides[dimension].saturating_mul(shape[dimension].max(1));
    }
    strides
}

/// Appends little-endian values as f32. F64 is rounded to nearest; the others are exact.
fn convert(dtype: Dtype, bytes: &[u8], values: &mut Vec<f32>) {
    match dtype {
        Dtype::F32 => values.extend(pieces(bytes).map(f32::from_le_bytes)),
        Dtype::F64 => values.extend(pieces(bytes).map(|value| f64::from_le_bytes(value) as f32)),
        Dtype::BF16 => values.extend(pieces(bytes).map(|value| bf16::from_le_bytes(value).to_f32())),
        Dtype::F16 => {
            let mut narrow = [f16::ZERO; 256];
            for block in bytes.chunks(512) {
                let narrow = &mut narrow[..block.len() / 2];
                for (to, from) in narrow.iter_mut().zip(pieces(block)) {
                    *to = f16::from_le_bytes(from);
                }
                let start = values.len();
                values.resize(start + narrow.len(), 0.0);
                narrow.convert_to_f32_slice(&mut values[start..]);
            }
        }
        other => unreachable!("{other} is refused before it is read"),
    }
}

fn pieces<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|piece| piece.try_into().expect("chunks_exact gives N bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dtype: Dtype, bytes: &[u8], shape: &[usize], strides: &[usize], start: usize) -> Vec<f32> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mapped = crate::location::Location::from(file.path()).open().unwrap();
        let stored = StoredTensor {
            name: "t".into(),
            dtype,
            shape: shape.into(),
            strides: strides.into(),
            storage: start..bytes.len(),
        };
        stored.read(&mapped)
    }

    #[test]
    fn all_float_types_come_out_as_the_same_values() {
        let values = [0.0f32, -1.5, 0.099_975_586, 65504.0, f32::INFINITY, 5.960_464_5e-8];
        let f32s: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let f64s: Vec<u8> = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
        let f16s: Vec<u8> = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        for (dtype, bytes) in [(Dtype::F32, f32s), (Dtype::F64, f64s), (Dtype::F16, f16s)] {
            assert_eq!(read(dtype, &bytes, &[2, 3], &[3, 1], 0), values);
        }
        let bf16s: Vec<u8> = [1.0f32, -2.5].iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        assert_eq!(read(Dtype::BF16, &bf16s, &[2], &[1], 0), [1.0, -2.5]);
    }

    #[test]
    fn transposed_expanded_and_offset_tensors_come_out_in_c_order() {
        let bytes: Vec<u8> = (0..7).flat_map(|v| (v as f32).to_le_bytes()).collect();
        assert_eq!(read(Dtype::F32, &bytes, &[3, 2], &[1, 3], 4), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(read(Dtype::F32, &bytes, &[2, 2], &[0, 1], 0), [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(read(Dtype::F32, &bytes[..4], &[], &[], 0), [0.0]);
        assert!(read(Dtype::F32, &bytes[..0], &[0, 3], &[3, 1], 0).is_empty());
    }

    #[test]
    fn tensors_of_many_pieces_are_read_completely() {
        let n = PIECE * 2 + 3;
        let bytes: Vec<u8> = (0..n).flat_map(|v| f16::from_f32((v % 1000) as f32).to_le_bytes()).collect();
        let values = read(Dtype::F16, &bytes, &[n], &[1], 0);
        assert!(values.iter().enumerate().all(|(i, v)| *v == (i % 1000) as f32) && values.len() == n);
    }
}
