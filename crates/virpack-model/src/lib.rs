//! A model's name to its weights on a device: where files come from, what they hold, and how a model runs.

#![forbid(unsafe_code)]

mod any;
#[doc(hidden)]
pub mod checksum;
pub mod classifier;
pub mod config;
pub mod dnabert_s;
mod error;
pub mod esm2;
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod guarded;
pub mod hub;
mod layers;
pub mod location;
pub mod mini;
pub mod published;
pub mod source;
pub mod weights;

use std::sync::Arc;

pub use any::{Model, ModelConfig};
use config::DnabertConfig;
pub use error::{HoldsModelError, ModelError};
use hub::{DownloadProgress, HubError, HubOptions};
use location::Location;
use published::{NUCLEOTIDE, Published};
use virpack_device::{Backend, DeviceError, PoolSpan};
use virpack_seq::{EsmTokenizer, Tokenizer};
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

/// Where `model` is: a path as it stands, a model that is part of the program ([`mini::MODELS`]), or a name, whose files
/// are in the cache or nowhere here.
///
/// ```
/// use virpack_model::{hub::HubOptions, local};
///
/// assert!(local("virpack-mini/peptide", &HubOptions::from_env())?.is_some());
/// # Ok::<(), virpack_model::ModelError>(())
/// ```
///
/// # Errors
///
/// Those of [`hub::local`]; [`ModelError::TwoModels`] for [`mini::NAME`].
pub fn local(model: &str, hub: &HubOptions) -> Result<Option<Location>, ModelError> {
    if std::path::Path::new(model).exists() {
        return Ok(Some(Location::Disk(model.into())));
    }
    if model == mini::NAME {
        return Err(ModelError::TwoModels { model: model.to_owned(), models: mini::MODELS });
    }
    match mini::model(model) {
        Some(location) => Ok(Some(location)),
        None => Ok(hub::local(model, hub)?.map(Location::Disk)),
    }
}

/// As [`local`], downloaded first where it must be.
///
/// # Errors
///
/// Those of [`local`] and [`hub::resolve`].
pub fn resolve(
    model: &str,
    hub: &HubOptions,
    progress: &dyn DownloadProgress,
) -> Result<Location, ModelError> {
    match local(model, hub)? {
        Some(location) => Ok(location),
        None => Ok(Location::Disk(hub::resolve(model, hub, progress)?)),
    }
}

/// The settings of the model that `model` means, without downloading anything: of its weights where they are on
/// this machine (checked as [`ModelConfig::of`] does), else of the published model of that name.
///
/// ```
/// use virpack_model::{config_of, hub::HubOptions};
///
/// assert_eq!(config_of("esm2_t33_650M_UR50D", &HubOptions::from_env())?.layers(), 33);
/// assert_eq!(config_of("zhihan1996/DNABERT-S", &HubOptions::from_env())?.hidden(), 768);
/// assert!(config_of("no/such/directory", &HubOptions::from_env()).is_err());
/// # Ok::<(), virpack_model::ModelError>(())
/// ```
///
/// # Errors
///
/// Those of [`local`], [`Weights::open`] and [`ModelConfig::of`]; [`HubError::NotCached`] for another repository
/// whose files are not here.
pub fn config_of(model: &str, hub: &HubOptions) -> Result<ModelConfig, ModelError> {
    if let Some(location) = local(model, hub)? {
        return ModelConfig::of(&Weights::at(&location)?);
    }
    let repository = hub::repository(model)?;
    match Published::find(&repository.id) {
        Some(published) => Ok(ModelConfig::Esm2(published.config())),
        None if NUCLEOTIDE.contains(&&*repository.id) => {
            Ok(ModelConfig::DnabertS(DnabertConfig::published()))
        }
        None => Err(not_cached(repository.id, hub).into()),
    }
}

/// The tokenizer of the model that `model` means, without downloading anything: ESM-2's is part of virpack, others
/// are read from where the model is on this machine.
///
/// # Errors
///
/// Those of [`config_of`] and [`ModelConfig::tokenizer`]; [`HubError::NotCached`] for a tokenizer that is not here.
pub fn tokenizer_of(model: &str, hub: &HubOptions) -> Result<Arc<dyn Tokenizer>, ModelError> {
    if let ModelConfig::Esm2(_) = config_of(model, hub)? {
        return Ok(Arc::new(EsmTokenizer::new()));
    }
    let location = local(model, hub)?.ok_or_else(|| not_cached(model.to_owned(), hub))?;
    let weights = Weights::at(&location)?;
    ModelConfig::of(&weights)?.tokenizer(&weights.directory())
}

fn not_cached(repository: String, hub: &HubOptions) -> HubError {
    HubError::NotCached { repository, cache: hub.cache.clone(), offline: hub.offline }
}
