//! What models are made of, on a backend, and how it gets there.

use crate::ModelError;
use crate::tensor_source::TensorSource;
use virpack_device::{Backend, HostLinear, LayerNorm, LinearOf};

/// A linear layer, with the layer norm before it where it has one.
pub(super) type Linear<B> = LinearOf<B>;

/// A layer norm.
pub(super) type Norm<B> = LayerNorm<<B as Backend>::Vector>;

/// Tensors by name, from where they are to the backend, one at a time.
pub(super) struct Loader<'a, B: Backend> {
    pub(super) backend: &'a B,
    pub(super) tensors: &'a dyn TensorSource,
    /// The value that the model's layer norms add to a variance.
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
        let bias = Some(self.biases(names, outputs)?);
        self.upload(None, names, [outputs, inputs], bias)
    }

    /// Returns a linear layer that has no bias.
    pub(super) fn linear_without_bias(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear<B>, ModelError> {
        self.upload(None, &[name], [outputs, inputs], None)
    }

    /// Linear layers of one shape, stacked into one, after a layer norm.
    pub(super) fn normed_linear(
        &self,
        norm: &str,
        names: &[&str],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear<B>, ModelError> {
        let (norm, bias) = (self.norm_values(norm, inputs)?, self.biases(names, outputs)?);
        self.upload(Some(norm), names, [outputs, inputs], Some(bias))
    }

    /// The same of queries, keys and values, `hidden` wide each, of that many heads with rotary positions.
    pub(super) fn normed_qkv(
        &self,
        norm: &str,
        names: &[&str; 3],
        [hidden, heads]: [usize; 2],
        is_sensitive: bool,
    ) -> Result<Linear<B>, ModelError> {
        let (norm, bias) = (self.norm_values(norm, hidden)?, Some(self.biases(names, hidden)?));
        let layer = HostLinear { norm: Some(norm), weight: self.weights(names, hidden, hidden)?, bias };
        let shape = [names.len() * hidden, hidden];
        Ok(if is_sensitive {
            self.backend.sensitive_layer(shape, layer, Some(heads))?
        } else {
            self.backend.linear_layer(shape, layer, Some(heads))?
        })
    }

    /// Each layer is `[outputs, inputs]`.
    fn upload(
        &self,
        norm: Option<LayerNorm<Vec<f32>>>,
        names: &[&str],
        [outputs, inputs]: [usize; 2],
        bias: Option<Vec<f32>>,
    ) -> Result<Linear<B>, ModelError> {
        let layer = HostLinear { norm, weight: self.weights(names, outputs, inputs)?, bias };
        Ok(self.backend.linear_layer([names.len() * outputs, inputs], layer, None)?)
    }

    /// The tables of token embeddings, one for each place of a window, under each other.
    pub(super) fn tables(
        &self,
        name: &str,
        [places, rows, columns]: [usize; 3],
    ) -> Result<B::Matrix, ModelError> {
        let values = self.tensors.read(&format!("{name}.weight"), &[places, rows, columns])?;
        Ok(self.backend.table(places * rows, columns, values)?)
    }

    /// Returns a vector of parameters.
    pub(super) fn vector(&self, name: &str, width: usize) -> Result<B::Vector, ModelError> {
        Ok(self.backend.vector(self.tensors.read(name, &[width])?)?)
    }

    /// Returns the table of token embeddings.
    pub(super) fn table(&self, name: &str, rows: usize, columns: usize) -> Result<B::Matrix, ModelError> {
        Ok(self.backend.table(rows, columns, self.weights(&[name], rows, columns)?)?)
    }

    pub(super) fn norm(&self, name: &str, width: usize) -> Result<Norm<B>, ModelError> {
        Ok(self.norm_values(name, width)?.upload(self.backend)?)
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
