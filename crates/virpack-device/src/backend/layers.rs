//! The layers that products belong to, and what follows a product.

use super::Backend;
use crate::error::DeviceError;
use crate::operations::Attention;
use crate::shapes;

/// A layer norm's parameters, both `[width]`: on the host as `LayerNorm<Vec<f32>>`.
#[derive(Clone, Debug)]
pub struct LayerNorm<V> {
    /// The factors of rows that are normalised to mean 0 and variance 1.
    pub weight: V,
    /// The bias, added after scaling.
    pub bias: V,
    /// Added to each variance.
    pub eps: f32,
}

/// A linear layer, `x · weightᵀ + bias`, and the layer norm of its inputs where one goes before it: on the
/// host as [`HostLinear`], on a backend as [`Backend::linear_layer`] gives it.
#[derive(Clone, Debug)]
pub struct Linear<M, V> {
    /// The norm, `[inputs]`. If a backend has folded it into weight and bias, these must not be used without
    /// it.
    pub norm: Option<LayerNorm<V>>,
    /// `[outputs, inputs]`.
    pub weight: M,
    /// `[outputs]`.
    pub bias: Option<V>,
}

/// A linear layer on the host, its weight row-major.
pub type HostLinear = Linear<Vec<f32>, Vec<f32>>;

/// A linear layer on a backend.
pub type LinearOf<B> = Linear<<B as Backend>::Matrix, <B as Backend>::Vector>;

/// What follows a linear layer's product. A backend may do it before the product's result is stored.
#[derive(Debug)]
pub enum Epilogue<'a, B: Backend + ?Sized> {
    /// Nothing.
    None,
    /// [`Backend::gelu`].
    Gelu,
    /// The result is added to this tensor, `[tokens, outputs]`, and takes its memory.
    Add(B::Tensor),
    /// [`Backend::rotary`] of queries, keys and values.
    Rotary(&'a B::Packed, &'a Attention<B::Vector>),
}

impl<B: Backend + ?Sized> Epilogue<'_, B> {
    /// Returns the epilogue by the backend's own primitives, on a product's result `[tokens, outputs]`: its
    /// definition.
    ///
    /// # Errors
    ///
    /// Returns the errors of the primitives.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu, Epilogue};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let [x, y] = [[1.0, 2.0], [10.0, 20.0]].map(|row| cpu.tensor(1, 2, &row));
    /// assert_eq!(Epilogue::Add(x?).apply(&cpu, y?)?.values(), [11.0, 22.0]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn apply(self, backend: &B, y: B::Tensor) -> Result<B::Tensor, DeviceError> {
        match self {
            Epilogue::None => Ok(y),
            Epilogue::Gelu => backend.gelu(y),
            Epilogue::Add(x) => backend.add(x, &y),
            Epilogue::Rotary(packed, attention) => backend.rotary(y, packed, attention),
        }
    }
}

impl LayerNorm<Vec<f32>> {
    /// Returns the norm on a backend.
    ///
    /// # Errors
    ///
    /// The backend's error.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu, LayerNorm};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let norm = LayerNorm { weight: vec![2.0, 2.0], bias: vec![0.0, 1.0], eps: 0.0 }.upload(&cpu)?;
    /// let x = cpu.tensor(1, 2, &[3.0, 5.0])?; // mean 4, variance 1
    /// assert_eq!(cpu.layer_norm(&x, &norm)?.values(), [-2.0, 3.0]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn upload<B: Backend + ?Sized>(self, backend: &B) -> Result<LayerNorm<B::Vector>, DeviceError> {
        let LayerNorm { weight, bias, eps } = self;
        Ok(LayerNorm { weight: backend.vector(weight)?, bias: backend.vector(bias)?, eps })
    }
}

impl HostLinear {
    /// The layer, `[outputs, inputs]`, on a backend, each part as it is.
    ///
    /// # Errors
    ///
    /// The backend's error.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu, Epilogue, HostLinear};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let layer = HostLinear { norm: None, weight: vec![1.0, 2.0], bias: Some(vec![0.5]) };
    /// let layer = layer.upload(&cpu, [1, 2])?;
    /// let x = cpu.tensor(1, 2, &[3.0, 4.0])?;
    /// assert_eq!(cpu.linear(&x, &layer, Epilogue::None)?.values(), [11.5]);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn upload<B: Backend + ?Sized>(
        self,
        backend: &B,
        [outputs, inputs]: [usize; 2],
    ) -> Result<LinearOf<B>, DeviceError> {
        let Linear { norm, weight, bias } = self;
        let norm = norm.map(|norm| norm.upload(backend)).transpose()?;
        let weight = backend.matrix(outputs, inputs, weight)?;
        Ok(Linear { norm, weight, bias: bias.map(|bias| backend.vector(bias)).transpose()? })
    }

    /// Checks its sizes, and what heads it is for: gives their width.
    pub(crate) fn check(
        &self,
        shape: [usize; 2],
        rotated_heads: Option<usize>,
    ) -> Result<Option<usize>, DeviceError> {
        let norm = self.norm.as_ref().map(|norm| [norm.weight.len(), norm.bias.len()]);
        shapes::linear_layer(shape, self.weight.len(), self.bias.as_ref().map(Vec::len), norm)?;
        rotated_heads.map(|heads| shapes::head_width(shape[0], heads)).transpose()
    }
}
