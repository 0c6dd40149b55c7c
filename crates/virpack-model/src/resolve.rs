//! From what a user calls a model to its files, its settings and its tokenizer.

use std::path::Path;
use std::sync::Arc;

use virpack_seq::{EsmTokenizer, Tokenizer};

use crate::config::DnabertConfig;
use crate::error::ModelError;
use crate::hub::{self, DownloadProgress, HubError, HubOptions};
use crate::location::Location;
use crate::mini;
use crate::model::ModelConfig;
use crate::published::{NUCLEOTIDE, Published};
use crate::weights::Weights;

/// Where `model` is: a path, a model that is part of the program ([`MODELS`](mini::MODELS)), or
/// a name, whose files are in the cache or nowhere here.
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
/// Returns the errors of [`hub::local`]; [`ModelError::TwoModels`] for [`mini::NAME`].
pub fn local(model: &str, hub: &HubOptions) -> Result<Option<Location>, ModelError> {
    if Path::new(model).exists() {
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
/// Returns the errors of [`local`] and [`hub::resolve`].
///
/// ```
/// use virpack_model::hub::HubOptions;
/// use virpack_model::resolve;
///
/// let location = resolve("virpack-mini/peptide", &HubOptions::from_env(), &())?; // `()` shows no progress
/// assert!(location.join("config.json").exists());
/// # Ok::<(), virpack_model::ModelError>(())
/// ```
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

/// Returns the settings of the model that `model` means, without downloading anything: of its weights where
/// they are on this machine (checked as [`ModelConfig::of`] does), else of the published model of that
/// name.
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
/// Returns the errors of [`local`], [`Weights::open`] and [`ModelConfig::of`], and [`HubError::NotCached`]
/// for another repository whose files are not in the cache.
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

/// Returns the tokenizer of the model that `model` means, without downloading anything: ESM-2's is part of
/// virpack, others are read from where the model is on this machine.
///
/// # Errors
///
/// Returns the errors of [`config_of`] and [`ModelConfig::tokenizer`], and [`HubError::NotCached`] for a
/// tokenizer that is not in the cache.
///
/// ```
/// use virpack_model::hub::HubOptions;
/// use virpack_model::tokenizer_of;
///
/// let tokenizer = tokenizer_of("esm2_t36_3B_UR50D", &HubOptions::from_env())?; // nothing is downloaded
/// assert_eq!(tokenizer.length(b"MKTLL"), 5);
/// # Ok::<(), virpack_model::ModelError>(())
/// ```
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
