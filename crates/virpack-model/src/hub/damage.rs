//! Files of the Hub's cache that are not what their names there say, and their second download.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use virpack_seq::{Hint, shown_path};

use super::download::download_again;
use super::{DownloadProgress, HubError, HubOptions, Repository};
use crate::checksum::{checksum, is_sha256};
use crate::error::{HoldsModelError, ModelError};
use crate::location::Location;
use crate::weights;

/// A file in the Hub's cache whose bytes have another SHA-256 than its name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// The file, as the model names it.
    pub path: PathBuf,
    /// The file in the cache.
    pub blob: PathBuf,
    /// The SHA-256 of what it holds.
    pub found: String,
}

/// A model with damaged files in the Hub's cache, none of which could be replaced.
#[derive(Debug)]
pub struct Damage {
    /// The files, at least one.
    pub files: Vec<DamagedFile>,
    /// Why they are not downloaded again.
    pub kept: WhyKept,
}

/// Why a damaged file is not downloaded again.
#[derive(Debug)]
#[non_exhaustive]
pub enum WhyKept {
    /// The run has no [`Refetch`], or the file is not one of a repository's snapshot.
    NotAsked,
    /// The network is switched off.
    Offline,
    /// The download failed.
    Failed(Box<HubError>),
    /// It was downloaded again, and is damaged again.
    DamagedAgain,
}

impl std::error::Error for Damage {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DamagedFile { path, blob, found } = &self.files[0];
        write!(f, "{}: damaged: its SHA-256 is {found}", shown_path(path))?;
        write!(f, ", and the cache has it as {}", shown_path(blob))?;
        if self.files.len() > 1 {
            write!(f, " (damaged files of this model: {})", self.files.len())?;
        }
        match &self.kept {
            WhyKept::NotAsked => Ok(()),
            WhyKept::Offline => write!(f, ", and HF_HUB_OFFLINE forbids downloads"),
            WhyKept::Failed(error) => write!(f, "; the second download failed: {error}"),
            WhyKept::DamagedAgain => write!(f, ", although it was just downloaded"),
        }
    }
}

impl Hint for Damage {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match &self.kept {
            WhyKept::NotAsked => Some("remove it, and run again to download it".into()),
            WhyKept::Offline => {
                let blob = shown_path(&self.files[0].blob);
                let hint =
                    format!("unset HF_HUB_OFFLINE to download it again, or copy {blob} from another machine");
                Some(hint.into())
            }
            WhyKept::Failed(error) => error.hint(),
            WhyKept::DamagedAgain => Some("check this machine's disk and memory, and run again".into()),
        }
    }
}

/// Downloads damaged files of the Hub's cache again.
#[derive(Clone)]
pub struct Refetch {
    options: HubOptions,
    progress: Arc<dyn DownloadProgress + Send + Sync>,
}

impl fmt::Debug for Refetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refetch").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Refetch {
    /// Downloads from the Hub of `options` into the cache that the damaged file is in; `progress` receives
    /// the file and what is wrong with it first.
    #[must_use]
    pub fn new(options: HubOptions, progress: Arc<dyn DownloadProgress + Send + Sync>) -> Self {
        Refetch { options, progress }
    }

    fn fetch(&self, file: &DamagedFile) -> Result<(), WhyKept> {
        let (cache, repository, name) = place(&file.path).ok_or(WhyKept::NotAsked)?;
        if self.options.offline {
            return Err(WhyKept::Offline);
        }
        let options = HubOptions { cache, ..self.options.clone() };
        let fetched = download_again(&repository, &options, &*self.progress, &name);
        fetched.map_err(|error| WhyKept::Failed(error.into()))
    }
}

/// Loads models by `load`. If that finds files of the Hub's cache damaged, they are downloaded again, and the models are
/// loaded once more.
///
/// # Errors
///
/// Those of `load`; [`ModelError::DamagedInCache`] for damaged files that cannot be replaced. An error that a damaged file may
/// cause, such as a missing tensor, becomes this one if a file of `models` is damaged.
pub fn load_again<T, E: HoldsModelError>(
    refetch: Option<&Refetch>,
    models: &[&Location],
    mut load: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut once = || load().map_err(|error| error.into_model().map(|error| found_in(error, models)));
    let files = match once() {
        Ok(loaded) => return Ok(loaded),
        Err(Ok(ModelError::DamagedInCache(Damage { files, .. }))) => files,
        Err(error) => return Err(error.map_or_else(|other| other, E::from)),
    };
    let fetch = |file| refetch.ok_or(WhyKept::NotAsked).and_then(|refetch| refetch.fetch(file));
    if let Err(kept) = files.iter().try_for_each(fetch) {
        return Err(ModelError::from(Damage { files, kept }).into());
    }
    once().map_err(|error| match error {
        Ok(ModelError::DamagedInCache(Damage { files, .. })) => {
            ModelError::from(Damage { files, kept: WhyKept::DamagedAgain }).into()
        }
        error => error.map_or_else(|other| other, E::from),
    })
}

/// Returns the damage of the models' files if it may be the cause of an error, else the error itself.
fn found_in(error: ModelError, models: &[&Location]) -> ModelError {
    let may_be_damage = matches!(
        error,
        ModelError::Truncated { .. }
            | ModelError::Safetensors { .. }
            | ModelError::Checkpoint { .. }
            | ModelError::DuplicateTensor { .. }
            | ModelError::IndexedTensor { .. }
            | ModelError::Adapter { .. }
            | ModelError::UnlikeWeights { .. }
            | ModelError::UnreadTensors { .. }
            | ModelError::UnlikeFrequencies { .. }
            | ModelError::MissingTensor { .. }
            | ModelError::TensorShape { .. }
            | ModelError::TensorDtype { .. }
            | ModelError::UnsupportedModel { .. }
    );
    if !may_be_damage {
        return error;
    }
    let files: Vec<_> = models.iter().filter_map(|model| weights::files(model).ok()).flatten().collect();
    match damaged(&files) {
        files if files.is_empty() => error,
        files => Damage { files, kept: WhyKept::NotAsked }.into(),
    }
}

/// Returns the SHA-256 that a file in the Hub's cache should have: the cache names large files by it.
fn promised(path: &Path) -> Option<(PathBuf, String)> {
    let blob = path.canonicalize().ok()?;
    let name = blob.file_name()?.to_str()?.to_owned();
    let is_blob = blob.parent()?.file_name()? == "blobs";
    (is_blob && is_sha256(&name)).then_some((blob, name))
}

/// Returns a file in the Hub's cache, compared by its hash with its name there; None for one that is right,
/// or not there.
pub(crate) fn damage_by_hash(path: &Path, sha256: &str) -> Option<DamagedFile> {
    let (blob, promised) = promised(path)?;
    let is_right = promised.eq_ignore_ascii_case(sha256);
    (!is_right).then(|| DamagedFile { path: path.to_owned(), blob, found: sha256.to_owned() })
}

/// Returns those of the files that the Hub's cache has damaged; the others are not read.
pub(crate) fn damaged(files: &[Location]) -> Vec<DamagedFile> {
    let paths = files.iter().map(Location::path).filter(|path| promised(path).is_some());
    paths.filter_map(|path| damage_by_hash(&path, &checksum(&path).ok()?.1)).collect()
}

/// Returns the cache, the repository with its commit, and the name in it, of a file in a snapshot.
fn place(file: &Path) -> Option<(PathBuf, Repository, String)> {
    let snapshot = file.parent()?.canonicalize().ok()?;
    let (snapshots, revision) = (snapshot.parent()?, snapshot.file_name()?.to_str()?);
    let folder = snapshots.parent().filter(|_| snapshots.ends_with("snapshots"))?;
    let id = folder.file_name()?.to_str()?.strip_prefix("models--")?.replacen("--", "/", 1);
    let repository = Repository { id, revision: revision.to_owned() };
    Some((folder.parent()?.to_owned(), repository, file.file_name()?.to_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_snapshot_has_its_repository_and_name() {
        let cache = tempfile::tempdir().unwrap();
        let cache = cache.path().canonicalize().unwrap();
        let snapshot = cache.join("models--me--my-model/snapshots/0123abcd");
        std::fs::create_dir_all(&snapshot).unwrap();
        let (found, repository, name) = place(&snapshot.join("model.safetensors")).unwrap();
        assert_eq!(
            (found, &*repository.id, &*repository.revision),
            (cache.clone(), "me/my-model", "0123abcd")
        );
        assert_eq!(name, "model.safetensors");
        for other in ["models--me--my-model/snapshots", "models--me--my-model", ""] {
            assert!(place(&cache.join(other).join("model.safetensors")).is_none(), "{other}");
        }
    }
}
