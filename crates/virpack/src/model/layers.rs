//! What models are made of, on a backend, and how it gets there.

use super::source::TensorSource;
use crate::Error;
use virpack_device::{Backend, DeviceError};

/// A linear layer with a bias.
pub(super) struct Linear<B: Backend> {
    /// `[outputs, inputs]`.
    pub(super) weight: B::Matrix,
    /// `[outputs]`.
    pub(super) bias: B::Vector,
}

/// A layer norm.
pub(super) struct Norm<B: Backend> {
    weight: B::Vector,
    bias: B::Vector,
    eps: f32,
}

impl<B: Backend> Norm<B> {
    pub(super) fn apply(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, DeviceError> {
        backend.layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

/// Tensors by name, from where they are to the backend, one at a time.
pub(super) struct Loader<'a, B: Backend> {
    pub(super) backend: &'a B,
    pub(super) tensors: &'a dyn TensorSource,
    /// What the model's layer norms add to a variance.
    pub(super) eps: f32,
}

impl<B: Backend> Loader<'_, B> {
    /// Linear layers of one shape, stacked into one.
    pub(super) fn linear(&self, names: &[&str], outputs: usize, inputs: usize) -> Result<Linear<B>, Error> {
        let mut bias = Vec::with_capacity(names.len() * outputs);
        for name in names {
            bias.extend(self.tensors.read(&format!("{name}.bias"), &[outputs])?);
        }
        Ok(Linear { weight: self.matrix(names, outputs, inputs)?, bias: self.backend.vector(bias)? })
    }

    /// The weights of linear layers of one shape, stacked into one.
    pub(super) fn matrix(&self, names: &[&str], rows: usize, columns: usize) -> Result<B::Matrix, Error> {
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
        Ok(self.backend.matrix(names.len() * rows, columns, values)?)
    }

    pub(super) fn norm(&self, name: &str, width: usize) -> Result<Norm<B>, Error> {
        let vector = |part| -> Result<B::Vector, Error> {
            Ok(self.backend.vector(self.tensors.read(&format!("{name}.{part}"), &[width])?)?)
        };
        Ok(Norm { weight: vector("weight")?, bias: vector("bias")?, eps: self.eps })
    }
}
