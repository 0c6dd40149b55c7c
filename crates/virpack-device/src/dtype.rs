//! The precision that a device computes in.

use std::fmt;

/// The precision of activations and weight matrices; sums are float32, or whole numbers in int8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// float32. On compute capability 9.0 products and attention run on the tensor cores, three float16 products for one,
    /// with the accuracy of float32; elsewhere as [`Dtype::F32Strict`].
    F32,
    /// float16.
    #[default]
    F16,
    /// bfloat16: the range of float32, three digits fewer.
    Bf16,
    /// float32 by ordinary instructions, without TF32: the reference.
    F32Strict,
    /// Products of int8, each row of activations and each row of a weight with a scale of its own, on compute
    /// capability 9.0; all else as in float16. For searches and classifiers: embeddings move by some 1.5 %
    /// (docs/reference/models.md).
    Int8,
}

impl Dtype {
    /// Bytes of a value of activations.
    ///
    /// ```
    /// use virpack_device::Dtype;
    ///
    /// // ESM-2 650M has 652 million parameters: 2.6 GB in float32, 1.3 GB in bfloat16.
    /// assert_eq!([Dtype::F32, Dtype::Bf16].map(Dtype::bytes), [4, 2]);
    /// ```
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F32 | Dtype::F32Strict => 4,
            Dtype::F16 | Dtype::Bf16 | Dtype::Int8 => 2,
        }
    }

    /// Returns whether values are float32, however they are computed.
    pub(crate) fn is_float32(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F32Strict)
    }

    /// Returns what kernels are compiled with: `kernels/common.cuh`.
    pub(crate) fn code(self) -> u8 {
        match self {
            Dtype::F32 | Dtype::F32Strict => 0,
            Dtype::F16 | Dtype::Int8 => 1,
            Dtype::Bf16 => 2,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "float32",
            Dtype::F32Strict => "float32 (strict)",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
            Dtype::Int8 => "int8",
        })
    }
}
