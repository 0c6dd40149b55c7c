//! Models: where their files come from, what they hold, and how they run.

pub mod config;
pub mod dnabert_s;
pub mod esm2;
pub mod hub;
mod layers;
pub mod published;
pub mod source;
pub mod weights;

use crate::Error;
use config::Esm2Config;
use hub::HubOptions;
use published::Published;
use virpack_device::{Backend, DeviceError, PoolSpan};
use weights::Weights;

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

/// The settings of the model that `model` means, without downloading anything: of its weights where they are on
/// this machine (checked as [`Esm2Config::of`] does), else of the published model of that name.
///
/// ```
/// use virpack::model::{config_of, hub::HubOptions};
///
/// assert_eq!(config_of("esm2_t33_650M_UR50D", &HubOptions::from_env())?.layers, 33);
/// assert!(config_of("no/such/directory", &HubOptions::from_env()).is_err());
/// # Ok::<(), virpack::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`hub::local`], [`Weights::open`] and [`Esm2Config::of`]; [`Error::NotCached`] for another repository
/// whose files are not here.
pub fn config_of(model: &str, hub: &HubOptions) -> Result<Esm2Config, Error> {
    if let Some(path) = hub::local(model, hub)? {
        return Esm2Config::of(&Weights::open(&path)?);
    }
    let repository = hub::repository(model)?;
    match Published::find(&repository.id) {
        Some(published) => Ok(published.config()),
        None => Err(Error::NotCached {
            repository: repository.id,
            cache: hub.cache.clone(),
            offline: hub.offline,
        }),
    }
}
