//! Where a run finds its model.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use virpack_model::Location;
use virpack_model::ModelError;
use virpack_model::hub::{DownloadProgress, HubOptions, Refetch};
use virpack_model::published::full_name;
use virpack_model::{mini, resolve};
use virpack_seq::{Input, ReadLimits};

/// Where a run finds its model. The run finds it after its own checks, so that a mistyped file name does
/// not cost a download.
///
/// ```
/// use std::path::Path;
/// use virpack_core::ModelSource;
///
/// assert!(matches!("esm2_t6_8M_UR50D".into(), ModelSource::Named(_)));
/// assert!(matches!(Path::new("models/mine").into(), ModelSource::At(_)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ModelSource {
    /// A directory or file of weights, a model known by its name or its short name ([`full_name`]), or
    /// `ORG/REPO` on the Hugging Face Hub, which is downloaded unless it is in the cache. `virpack-mini` is
    /// the built-in model that reads what the first records hold.
    Named(String),
    /// A directory or file of weights, on disk or in memory.
    At(Location),
}

/// How models are downloaded.
#[derive(Clone)]
pub(crate) struct Downloads {
    pub(crate) hub: HubOptions,
    pub(crate) progress: Arc<dyn DownloadProgress + Send + Sync>,
}

/// A run's model, with its files on this machine.
#[derive(Clone, Debug)]
pub(crate) struct FoundModel {
    /// The model as the user named it (by its full name), or the built-in one that was selected.
    pub(crate) name: String,
    pub(crate) location: Location,
}

impl ModelSource {
    /// Finds the model, and downloads it if necessary. One of the two built-in models is selected by the
    /// letters of `inputs`.
    pub(crate) fn find(&self, downloads: Option<&Downloads>) -> Result<FoundModel, ModelError> {
        let name = match self {
            ModelSource::Named(name) => named(name).to_owned(),
            ModelSource::At(location) => location.to_string(),
        };
        let location = match (self, downloads) {
            (ModelSource::At(location), _) => location.clone(),
            (ModelSource::Named(name), Some(Downloads { hub, progress })) => resolve(name, hub, &**progress)?,
            (ModelSource::Named(name), None) => resolve(name, &HubOptions::from_env(), &())?,
        };
        Ok(FoundModel { name, location })
    }

    /// Returns the built-in model that reads the first records of `inputs`; None if the user named another
    /// model.
    pub(crate) fn built_in(
        &self,
        inputs: &[Input],
        limits: ReadLimits,
    ) -> Result<Option<&'static str>, ModelError> {
        match self {
            // If a path of that name exists, the name is that path.
            ModelSource::Named(name) if name == mini::NAME && !Path::new(name).exists() => {
                mini::model_for(inputs, limits).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Returns the full name of a model with a short name. If a path of that name exists, the name is that
/// path.
pub(crate) fn named(name: &str) -> &str {
    full_name(name).filter(|_| !Path::new(name).exists()).unwrap_or(name)
}

impl Downloads {
    /// Returns what downloads damaged files of the cache again.
    pub(crate) fn refetch(&self) -> Refetch {
        Refetch::new(self.hub.clone(), Arc::clone(&self.progress))
    }
}

impl fmt::Debug for Downloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloads").field("hub", &self.hub).finish_non_exhaustive()
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelSource::Named(name) => f.write_str(name),
            ModelSource::At(location) => write!(f, "{location}"),
        }
    }
}

impl From<&str> for ModelSource {
    fn from(name: &str) -> Self {
        ModelSource::Named(name.to_owned())
    }
}

impl From<String> for ModelSource {
    fn from(name: String) -> Self {
        ModelSource::Named(name)
    }
}

impl From<Location> for ModelSource {
    fn from(location: Location) -> Self {
        ModelSource::At(location)
    }
}

impl From<&Path> for ModelSource {
    fn from(path: &Path) -> Self {
        ModelSource::At(path.into())
    }
}

impl From<&PathBuf> for ModelSource {
    fn from(path: &PathBuf) -> Self {
        path.as_path().into()
    }
}
