//! What every model is: a packed batch to hidden states.

use virpack_device::{Backend, DeviceError, PoolSpan};

/// A model that turns a packed batch into one row of hidden states a token.
pub trait Encoder<B: Backend>: Send + Sync {
    /// Width of a hidden state.
    fn hidden_size(&self) -> usize;

    /// Layers it has.
    fn layers(&self) -> usize;

    /// Which tokens of a sequence are pooled.
    fn span(&self) -> PoolSpan;

    /// Hidden states after `layers` layers, `[tokens, hidden]`; after the last one as the model returns them
    /// (for ESM-2 through the final layer norm, as fair-esm numbers its representations; 0: the embeddings).
    ///
    /// # Errors
    ///
    /// The backend's error.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    /// use virpack_model::{Encoder, Esm2, Esm2Config, RandomTensors};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let model = Esm2::build(&cpu, Esm2Config::published(2, 32, 2), &RandomTensors { seed: 1 })?;
    /// let packed = cpu.packed(&[0, 20, 15, 2, 0, 20, 2], &[0, 4, 7], 4)?; // <cls> M K <eos>, <cls> M <eos>
    /// let all = model.forward(&cpu, &packed, model.layers())?;
    /// assert_eq!(all.values().len(), 7 * 32);
    /// assert_ne!(all.values(), model.forward(&cpu, &packed, 1)?.values());
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    fn forward(&self, backend: &B, packed: &B::Packed, layers: usize) -> Result<B::Tensor, DeviceError>;
}
