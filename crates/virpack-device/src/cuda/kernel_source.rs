//! What a kernel is compiled from: a value that its launcher makes.

use crate::Dtype;
use std::hash::{Hash, Hasher};

/// A file of kernels with the headers before it and what both are compiled with.
#[derive(Clone, Debug)]
pub(super) struct KernelSource {
    /// The file in `kernels/`, which names the source.
    pub(super) file: &'static str,
    /// The texts of its headers and its own, in the order in which they are compiled.
    pub(super) parts: &'static [&'static str],
    /// Numbers that the compiler's options define.
    pub(super) defines: Vec<(&'static str, usize)>,
    /// The dtype of the values that its kernels see, where that is not the activations'.
    pub(super) dtype: Option<Dtype>,
    /// Whether its blocks may ask for more shared memory than every card gives.
    pub(super) needs_large_shared: bool,
}

/// The source of a file in `kernels/`: `kernel_source!("norm.cu" after "pairs.cuh")`.
macro_rules! kernel_source {
    (@text $file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/kernels/", $file))
    };
    ($file:literal $(after $($header:literal),+)?) => {
        $crate::cuda::kernel_source::KernelSource {
            file: $file,
            parts: &[$($(kernel_source!(@text $header),)+)? kernel_source!(@text $file)],
            defines: Vec::new(),
            dtype: None,
            needs_large_shared: false,
        }
    };
}
pub(super) use kernel_source;

impl KernelSource {
    /// With these numbers defined, too.
    pub(super) fn define(mut self, defines: impl IntoIterator<Item = (&'static str, usize)>) -> Self {
        self.defines.extend(defines);
        self
    }

    /// With values of `dtype`, whatever the activations' is.
    pub(super) fn of(self, dtype: Dtype) -> Self {
        KernelSource { dtype: Some(dtype), ..self }
    }

    /// With all the shared memory that the card gives a block.
    pub(super) fn with_large_shared(self) -> Self {
        KernelSource { needs_large_shared: true, ..self }
    }

    /// What tells sources apart: a file has one text and defines the same names in the same order.
    fn key(&self) -> (&'static str, impl Iterator<Item = usize> + '_) {
        (self.file, self.defines.iter().map(|define| define.1))
    }
}

impl PartialEq for KernelSource {
    fn eq(&self, other: &Self) -> bool {
        let ((file, values), (other_file, other_values)) = (self.key(), other.key());
        file == other_file && values.eq(other_values)
    }
}

impl Eq for KernelSource {}

impl Hash for KernelSource {
    /// Without the texts, as every launch looks its source up.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (file, values) = self.key();
        file.hash(state);
        values.for_each(|value| value.hash(state));
    }
}
