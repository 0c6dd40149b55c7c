//! Converts embeddings to bytes of the requested type.

use std::fmt;

use half::{bf16, f16};

use super::{OutputError, OutputProblem, Row};

/// The type of the values in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputDtype {
    /// float32, the model's own type.
    #[default]
    F32,
    /// float16: half the bytes, 11 significant bits, up to 65,504.
    F16,
    /// bfloat16: half the bytes, 8 significant bits, the range of float32.
    Bf16,
}

impl OutputDtype {
    /// Returns the bytes of a value.
    ///
    /// ```
    /// use virpack_core::output::OutputDtype;
    ///
    /// assert_eq!([OutputDtype::F32, OutputDtype::F16].map(OutputDtype::bytes), [4, 2]);
    /// ```
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            OutputDtype::F32 => size_of::<f32>(),
            OutputDtype::F16 | OutputDtype::Bf16 => size_of::<u16>(),
        }
    }

    /// Appends the values of `row` to `bytes`, little-endian, rounded to the nearest.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is too large for the type: infinity would look like an embedding.
    pub(super) fn encode(self, row: &Row, values: &[f32], bytes: &mut Vec<u8>) -> Result<(), OutputError> {
        let start = bytes.len();
        bytes.resize(start + values.len() * self.bytes(), 0);
        let narrow = bytes[start..].as_chunks_mut::<2>().0;
        let mut fits = true;
        match self {
            OutputDtype::F32 => {
                for (to, value) in bytes[start..].as_chunks_mut().0.iter_mut().zip(values) {
                    *to = value.to_le_bytes();
                }
            }
            OutputDtype::F16 => {
                for (to, value) in narrow.iter_mut().zip(values) {
                    let value = f16::from_f32(*value);
                    fits &= value.is_finite();
                    *to = value.to_le_bytes();
                }
            }
            OutputDtype::Bf16 => {
                for (to, value) in narrow.iter_mut().zip(values) {
                    let value = bf16::from_f32(*value);
                    fits &= value.is_finite();
                    *to = value.to_le_bytes();
                }
            }
        }
        if !fits {
            bytes.truncate(start);
            return Err(self.overflow(row, values));
        }
        Ok(())
    }

    fn overflow(self, row: &Row, values: &[f32]) -> OutputError {
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        OutputProblem::Overflow { id: row.id.to_string(), largest, dtype: self }.into()
    }
}

impl fmt::Display for OutputDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutputDtype::F32 => "float32",
            OutputDtype::F16 => "float16",
            OutputDtype::Bf16 => "bfloat16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(dtype: OutputDtype, values: &[f32]) -> Result<Vec<u8>, OutputError> {
        let row =
            Row { record: 0, source: 0, id: "r".into(), length: 1, truncated: false, unknown: 0, gaps: 0 };
        let mut bytes = vec![7];
        dtype.encode(&row, values, &mut bytes).map(|()| bytes)
    }

    #[test]
    fn values_are_rounded_to_the_nearest_and_appended() {
        assert_eq!(encode(OutputDtype::F32, &[1.0]).unwrap(), [7, 0, 0, 0x80, 0x3f]);
        // 1 + 2^-11 lies between two float16 values and rounds to the even one; a little more rounds up.
        assert_eq!(encode(OutputDtype::F16, &[1.000_488_3, 1.000_489]).unwrap(), [7, 0, 0x3c, 1, 0x3c]);
        assert_eq!(encode(OutputDtype::Bf16, &[1.0, -70_000.0]).unwrap(), [7, 0x80, 0x3f, 0x89, 0xc7]);
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let error = encode(OutputDtype::F16, &[1.0, -65_520.0]).unwrap_err().to_string();
        assert!(
            error.starts_with("record r: a value of 65520 in its embedding, more than float16 holds"),
            "{error}"
        );
        assert!(encode(OutputDtype::F16, &[65_519.0]).is_ok());
        assert!(encode(OutputDtype::Bf16, &[f32::MAX]).is_err());
    }
}
