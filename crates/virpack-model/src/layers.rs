//! What models are made of, on a backend, and how it gets there.

use super::source::TensorSource;
use crate::ModelError;
use virpack_device::{Backend, DeviceError, LayerNorm};

/// A linear layer with a bias.
pub(super) struct Linear<B: Backend> {
    /// `[outputs, inputs]`.
    pub(super) weight: B::Matrix,
    /// `[outputs]`.
    pub(super) bias: B::Vector,
}

/// A layer norm.
pub(super) struct Norm<B: Backend>(LayerNorm<B::Vector>);

impl<B: Backend> Norm<B> {
    pub(super) fn apply(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, DeviceError> {
        let Norm(LayerNorm { weight, bias, eps }) = self;
        backend.layer_norm(x, weight, bias, *eps)
    }
}

/// A layer norm and the linear layer after it.
pub(super) type NormedLinear<B> =
    virpack_device::NormedLinear<<B as Backend>::Matrix, <B as Backend>::Vector>;

/// Tensors by name, from where they are to the backend, one at a time.
pub(super) struct Loader<'a, B: Backend> {
    pub(super) backend: &'a B,
    pub(super) tensors: &'a dyn TensorSource,
    /// What the model's layer norms add to a variance.
    pub(super) eps: f32,
}

impl<B: Backend> Loader<'_, B> {
    /// Linear layers of one shape, stacked into one.
    pub(super) fn linear(
        &self,
        names: &[&str],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear<B>, ModelError> {
        let bias = self.backend.vector(self.biases(names, outputs)?)?;
        Ok(Linear { weight: self.matrix(names, outputs, inputs)?, bias })
    }

    /// The same after a layer norm.
    pub(super) fn normed_linear(
        &self,
        norm: &str,
        names: &[&str],
        outputs: usize,
        inputs: usize,
    ) -> Result<NormedLinear<B>, ModelError> {
        let (norm, bias) = (self.norm_values(norm, inputs)?, self.biases(names, outputs)?);
        Ok(self.backend.normed_linear(norm, self.weights(names, outputs, inputs)?, bias)?)
    }

    /// The same of queries, keys and values of so many heads.
    pub(super) fn normed_qkv(
        &self,
        norm: &str,
        names: &[&str; 3],
        hidden: usize,
        heads: usize,
    ) -> Result<NormedLinear<B>, ModelError> {
        let (norm, bias) = (self.norm_values(norm, hidden)?, self.biases(names, hidden)?);
        Ok(self.backend.normed_qkv(norm, self.weights(names, hidden, hidden)?, bias, heads)?)
    }

    /// The weights of linear layers of one shape, stacked into one.
    pub(super) fn matrix(
        &self,
        names: &[&str],
        rows: usize,
        columns: usize,
    ) -> Result<B::Matrix, ModelError> {
        let values = self.weights(names, rows, columns)?;
        Ok(self.backend.matrix(names.len() * rows, columns, values)?)
    }

    /// The table of token embeddings.
    pub(super) fn table(&self, name: &str, rows: usize, columns: usize) -> Result<B::Matrix, ModelError> {
        Ok(self.backend.table(rows, columns, self.weights(&[name], rows, columns)?)?)
    }

    pub(super) fn norm(&self, name: &str, width: usize) -> Result<Norm<B>, ModelError> {
        let LayerNorm { weight, bias, eps } = self.norm_values(name, width)?;
        let (weight, bias) = (self.backend.vector(weight)?, self.backend.vector(bias)?);
        Ok(Norm(LayerNorm { weight, bias, eps }))
    }

    fn norm_values(&self, name: &str, width: usize) -> Result<LayerNorm<Vec<f32>>, ModelError> {
        let values = |part| self.tensors.read(&format!("{name}.{part}"), &[width]);
        Ok(LayerNorm { weight: values("weight")?, bias: values("bias")?, eps: self.eps })
    }

    fn biases(&self, names: &[&str], outputs: usize) -> Result<Vec<f32>, ModelError> {
        let mut values = Vec::with_capacity(names.len() * outputs);
        for name in names {
            values.extend(self.tensors.read(&format!("{name}.bias"), &[outputs])?);
        }
        Ok(values)
    }

    fn weights(&self, names: &[&str], rows: usize, columns: usize) -> Result<Vec<f32>, ModelError> {
        let mut values = Vec::new();
        for name in names {
            let part = self.tensors.read(&format!("{name}.weight"), &[rows, columns])?;
            if names.len() == 1 {
                values = part;
            } else {
                values.reserve_exact(names.len() * rows * columns - values.len());
                values.extend(part);
            }
        }
        Ok(values)
    }
}
