//! From what a user calls a model to a directory with its files.
//!
//! A path is taken as it is. A published name, or `org/repo`, is looked for in the standard Hugging Face cache,
//! shared with Python's `huggingface_hub`, and downloaded into it where it is not there.

mod attempt_error;
mod cache;
mod client;
mod damage;
mod download;
mod error;
mod options;

use std::path::{Path, PathBuf};

pub(crate) use damage::damage_by_hash;
#[cfg(test)]
pub(crate) use damage::damaged;
pub use damage::{Damage, DamagedFile, Refetch, WhyKept, load_again};
pub use error::HubError;
pub use options::HubOptions;

use cache::RepositoryDir;
use client::Answer;
use ureq::Body;
use ureq::http::{HeaderMap, Response};

use crate::config::ModelKind;
use crate::error::ModelError;
use crate::guarded;
use crate::location::{CONFIG, TOKENIZER};
use crate::published::{Published, full_name};
use crate::weights;

/// Most bytes of a reference in the cache, which holds the name of a commit.
const LARGEST_REFERENCE: u64 = 4096;

/// Receives the progress of a download.
pub trait DownloadProgress {
    /// A file begins: its name, all its bytes, and those of them that an earlier, broken download left.
    fn start(&self, file: &str, bytes: u64, done: u64);
    /// So many bytes more have come.
    fn advance(&self, bytes: u64);
    /// The file is complete, or its download broke off.
    fn finish(&self);
    /// A file of the cache is damaged or truncated, as `problem` states, and is downloaded again.
    fn damaged(&self, _file: &Path, _problem: &str) {}
}

/// Reports nothing.
impl DownloadProgress for () {
    fn start(&self, _file: &str, _bytes: u64, _done: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
}

/// A repository on the Hub, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// `org/repo`.
    pub id: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl Repository {
    /// Understands a published name (`esm2_t33_650M_UR50D`, or short `650M`), `org/repo` or
    /// `org/repo@revision`; nothing for all else.
    ///
    /// ```
    /// use virpack_model::hub::Repository;
    /// let repository = Repository::parse("esm2_t6_8M_UR50D").unwrap();
    /// assert_eq!(repository.id, "facebook/esm2_t6_8M_UR50D");
    /// assert_eq!(repository.revision, "main");
    /// assert_eq!(Repository::parse("8M"), Some(repository));
    /// assert_eq!(Repository::parse("me/mine@v2").unwrap().revision, "v2");
    /// assert_eq!(Repository::parse("../models/mine"), None);
    /// ```
    #[must_use]
    pub fn parse(model: &str) -> Option<Self> {
        let (name, revision) = model.split_once('@').unwrap_or((model, "main"));
        let name = full_name(name).unwrap_or(name);
        let id = match Published::find(name) {
            Some(published) => published.repository(),
            None => {
                // The Hub's own rule for names.
                let is_name = |part: &str| {
                    let letters = part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
                    letters && !part.is_empty() && !part.starts_with(['.', '-']) && !part.contains("..")
                };
                let (org, repo) = name.split_once('/')?;
                // The path of a file that is not there, rather than a repository.
                let is_file = [".safetensors", ".bin", ".pt", ".json"].iter().any(|end| repo.ends_with(end));
                let is_name = |part: &str| is_name(part) && !is_file;
                (is_name(org) && is_name(repo)).then(|| name.to_owned())?
            }
        };
        let is_revision = |part: &str| !part.is_empty() && part != "." && part != "..";
        revision.split('/').all(is_revision).then(|| Self { id, revision: revision.to_owned() })
    }
}

/// Returns the directory or file that `model` means where it is on this machine; nothing for a name whose
/// files are not in the cache.
///
/// # Errors
///
/// [`HubError::ModelNotFound`] for what is neither a path nor a name.
pub fn local(model: &str, options: &HubOptions) -> Result<Option<PathBuf>, ModelError> {
    let path = Path::new(model);
    if path.exists() {
        return Ok(Some(path.to_owned()));
    }
    Ok(cached(&repository(model)?, options))
}

/// Returns what `model`, which is not a path, means on the Hub.
pub(super) fn repository(model: &str) -> Result<Repository, HubError> {
    let not_found = || HubError::ModelNotFound { model: model.to_owned(), looked_for: model.into() };
    Repository::parse(model).ok_or_else(not_found)
}

/// Returns the directory or file that `model` means, downloaded first where it must be.
///
/// A path that exists is taken as it is. All else is a name: its files come from the cache if they are
/// complete there, without asking the network whether there are newer ones, and are downloaded otherwise.
///
/// # Errors
///
/// [`HubError::ModelNotFound`] for what is neither a path nor a name, [`HubError::NotCached`] and
/// [`HubError::DamagedOffline`] offline,
/// [`HubError::NoSuchRepository`], [`HubError::NoAccess`], [`ModelError::NoWeights`] for repositories that cannot be used,
/// [`HubError::Download`] when the network or the disk fails.
///
/// ```
/// use virpack_model::hub::{HubOptions, resolve};
///
/// // Offline, a model that is not in the cache is an error at once.
/// let options = HubOptions::new("/an/empty/cache").offline(true);
/// let error = resolve("esm2_t6_8M_UR50D", &options, &()).unwrap_err();
/// assert!(error.to_string().contains("is neither a local path nor in the cache /an/empty/cache"));
/// ```
pub fn resolve(
    model: &str,
    options: &HubOptions,
    progress: &dyn DownloadProgress,
) -> Result<PathBuf, ModelError> {
    if let Some(path) = local(model, options)? {
        return Ok(path);
    }
    let repository = repository(model)?;
    if options.offline {
        let problem = weights::damage(&snapshot(&repository, options)).map(|error| error.to_string());
        let (repository, cache) = (repository.id, options.cache.clone());
        return Err(match problem {
            Some(problem) => HubError::DamagedOffline { repository, problem }.into(),
            None => HubError::NotCached { repository, cache, offline: true }.into(),
        });
    }
    download::download(&repository, options, progress)
}

/// Returns the directory in the cache that holds the repository's config and all its weights, or nothing.
///
/// ```
/// use virpack_model::hub::{HubOptions, Repository, cached};
///
/// let repository = Repository::parse("esm2_t6_8M_UR50D").unwrap();
/// assert_eq!(cached(&repository, &HubOptions::new("/an/empty/cache")), None);
/// ```
#[must_use]
pub fn cached(repository: &Repository, options: &HubOptions) -> Option<PathBuf> {
    let snapshot = snapshot(repository, options);
    let config = snapshot.join(CONFIG);
    let has_tokenizer = || !needs_tokenizer(&config) || snapshot.join(TOKENIZER).exists();
    // `are_whole` finds what was truncated since it came, too: it is fetched again.
    (config.exists() && weights::are_whole(&snapshot) && has_tokenizer()).then_some(snapshot)
}

/// Returns the directory in the cache that holds the repository's files, if it has any.
fn snapshot(repository: &Repository, options: &HubOptions) -> PathBuf {
    let folder = RepositoryDir::of(&options.cache, &repository.id).path;
    let reference = folder.join("refs").join(&repository.revision);
    let reference = guarded::read_linked(&reference, LARGEST_REFERENCE).ok();
    let reference = reference.and_then(|bytes| String::from_utf8(bytes).ok());
    // A revision without a reference may be a commit.
    let commit = reference.as_deref().map_or(repository.revision.as_str(), str::trim);
    folder.join("snapshots").join(commit)
}

/// Returns whether the model of this config.json is of no use without its tokenizer's file.
fn needs_tokenizer(config: &Path) -> bool {
    // One that cannot be read is an error where the model is opened.
    matches!(ModelKind::read(&config.into()), Ok(Some(ModelKind::DnabertS | ModelKind::CodonConv)))
}

/// Returns the commit and the names of files in an answer of the Hub, for a fuzz target.
pub(crate) fn listed(text: &[u8]) -> Option<(String, Vec<String>)> {
    download::listed(text).ok()
}

/// The ETag and the size in the headers of an answer and of the one it redirects to, for a fuzz target.
pub(crate) fn described(headers: [HeaderMap; 2]) -> Option<(String, u64)> {
    let mut response = Response::new(Body::builder().data(Vec::new()));
    response.headers_mut().clone_from(&headers[1]);
    let facts = download::facts(&Answer { response, headers: headers.into() }).ok()?;
    Some((facts.etag, facts.size))
}
