//! The source of a kernel, as a value that its launcher creates.

use crate::Dtype;
use std::hash::{Hash, Hasher};

/// A file of kernels, the headers before it, and the numbers that both are compiled with.
#[derive(Clone, Debug)]
pub(super) struct KernelSource {
    /// The name of the file in `kernels/`.
    pub(super) file: &'static str,
    /// The texts of its headers and of the file, in the order of compilation.
    pub(super) parts: &'static [&'static str],
    /// Numbers that compiler options define.
    pub(super) defines: Vec<(&'static str, usize)>,
    /// The dtype of the values that its kernels see, if it is not that of the activations.
    pub(super) dtype: Option<Dtype>,
    /// Whether its blocks may need more shared memory than every card gives.
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
    /// Adds definitions of numbers.
    pub(super) fn define(mut self, defines: impl IntoIterator<Item = (&'static str, usize)>) -> Self {
        self.defines.extend(defines);
        self
    }

    /// Sets the dtype of the values that its kernels see.
    pub(super) fn of(self, dtype: Dtype) -> Self {
        KernelSource { dtype: Some(dtype), ..self }
    }

    /// Asks for all the shared memory that the card can give a block.
    pub(super) fn with_large_shared(self) -> Self {
        KernelSource { needs_large_shared: true, ..self }
    }

    /// Returns what tells sources apart. A file has one text and defines the same names in the same order.
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
    /// Leaves out the texts, because every launch looks up its source.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (file, values) = self.key();
        file.hash(state);
        values.for_each(|value| value.hash(state));
    }
}
