//! Models: where their files come from, what they hold, and how they run.

pub mod config;
pub mod esm2;
pub mod hub;
pub mod published;
pub mod source;
pub mod weights;

use virpack_device::{Backend, DeviceError, PoolSpan};

/// A model that turns a packed batch into one row of hidden states a token.
pub trait Encoder<B: Backend>: Send + Sync {
    /// Width of a hidden state.
    fn hidden_size(&self) -> usize;

    /// Layers it has.
    fn layers(&self) -> usize;

    /// Which tokens of a sequence are pooled.
    fn span(&self) -> PoolSpan;

    /// Hidden states after `layer` layers, `[tokens, hidden]`; after the last one as the model returns them
    /// (for ESM-2 through the final layer norm, as fair-esm numbers its representations; 0: the embeddings).
    ///
    /// # Errors
    ///
    /// What the backend says.
    fn forward(&self, backend: &B, packed: &B::Packed, layer: usize) -> Result<B::Tensor, DeviceError>;
}
