//! Fetching a repository's files into the cache, through `hf-hub`.
//!
//! `hf-hub` knows the protocol and the cache. Around it stand three things that it leaves open: it takes a file for
//! whole whose end never came, it never recovers from a leftover that is as long as the file, and its own retries
//! can take up a broken download at the wrong byte. So its retries are off, and sizes are checked here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::{CONFIG, DownloadProgress, HubError, HubOptions, Repository, TOKENIZER, needs_tokenizer};
use crate::Error;
use crate::model::weights;

/// Downloads config, weights and, where the model needs it, tokenizer of a repository; gives the directory that holds them.
pub(super) fn download(
    repository: &Repository,
    options: &HubOptions,
    progress: &dyn DownloadProgress,
) -> Result<PathBuf, Error> {
    let hub = Hub { repository, options, progress };
    let branch = hub.api(&repository.revision)?;
    // Not retried: where there is no network, waiting only keeps the message back.
    let info = branch.info().map_err(|error| hub.failed(CONFIG, error))?;
    if !info.sha.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(hub.failed(CONFIG, ApiError::InvalidHeader("sha")).into());
    }
    // One commit for all files: a branch that moves meanwhile would mix two models.
    let commit = hub.api(&info.sha)?;
    let names: Vec<&str> = info.siblings.iter().map(|file| file.rfilename.as_str()).collect();
    if names.contains(&weights::adapters::SETTINGS) {
        let path = PathBuf::from(&repository.id);
        return Err(weights::adapters::refused(path, weights::adapters::SETTINGS.into(), None));
    }
    let weights_name = weights::NAMES.into_iter().find(|name| names.contains(name));
    let weights_name = weights_name.ok_or_else(|| Error::NoWeights {
        path: PathBuf::from(&repository.id),
        looked_for: weights::NAMES.map(String::from).to_vec(),
        found: Vec::new(),
    })?;
    let config = hub.file(&commit, CONFIG)?;
    if needs_tokenizer(&config) {
        hub.file(&commit, TOKENIZER)?;
    }
    let weights = hub.file(&commit, weights_name)?;
    if weights_name.ends_with(".json") {
        for shard in weights::shards(&weights.into())? {
            let name = shard.path();
            let name = name.file_name().expect("shards are named by files").to_string_lossy().into_owned();
            hub.file(&commit, &name)?;
        }
    }
    // Last, so that the branch never names a commit without its files.
    hub.cache()
        .repo(hub.repo(&repository.revision))
        .create_ref(&info.sha)
        .map_err(|e| hub.failed(CONFIG, e.into()))?;
    Ok(config.parent().expect("a file in the cache has a directory").to_owned())
}

struct Hub<'a> {
    repository: &'a Repository,
    options: &'a HubOptions,
    progress: &'a dyn DownloadProgress,
}

impl Hub<'_> {
    fn cache(&self) -> Cache {
        Cache::new(self.options.cache.clone())
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.repository.id.clone(), RepoType::Model, revision.to_owned())
    }

    fn builder(&self) -> ApiBuilder {
        ApiBuilder::from_cache(self.cache())
            .with_endpoint(self.options.endpoint.clone())
            .with_token(self.options.token.clone())
            .with_progress(false)
            .with_retries(0)
            .with_user_agent("virpack", env!("CARGO_PKG_VERSION"))
    }

    fn api(&self, revision: &str) -> Result<ApiRepo, Error> {
        let api = self.builder().build().map_err(|error| self.failed(CONFIG, error))?;
        Ok(api.repo(self.repo(revision)))
    }

    /// One file, from the cache or the network, of the size that the Hub gives.
    fn file(&self, commit: &ApiRepo, name: &str) -> Result<PathBuf, HubError> {
        self.retried(name, || self.fetch(commit, name))
    }

    fn fetch(&self, commit: &ApiRepo, name: &str) -> Result<PathBuf, ApiError> {
        let metadata = self.builder().build()?.metadata(&commit.url(name))?;
        // Both become paths in the cache: a server must not choose others with them.
        if metadata.etag().split(['/', '\\']).any(|part| matches!(part, "" | "." | "..")) {
            return Err(ApiError::InvalidHeader("etag"));
        }
        if !metadata.commit_hash().bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(ApiError::InvalidHeader("x-repo-commit"));
        }
        let size = metadata.size() as u64;
        let repo = self.cache().repo(self.repo(metadata.commit_hash()));
        let file = repo.pointer_path(metadata.commit_hash()).join(name);
        if length(&file) == Some(size) {
            return Ok(file);
        }
        let blob = repo.blob_path(metadata.etag());
        let part = blob.with_extension("part");
        if length(&part).is_some_and(|length| length >= size) {
            fs::remove_file(&part)?;
        }
        let done = length(&part).unwrap_or(0);
        let file = commit.download_with_progress(name, Relay::new(self.progress, done))?;
        if length(&file) == Some(size) {
            return Ok(file);
        }
        // Whole by its name only. As a leftover it is taken up where it ends; longer than the file it is worthless.
        let _links_to_blob = fs::remove_file(&file);
        let short = length(&blob).is_some_and(|length| length < size);
        if short {
            fs::rename(&blob, &part)?
        } else {
            let _gone = fs::remove_file(&blob);
        }
        Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
    }

    /// Tries again what a bad network can break, waiting a little longer each time.
    fn retried<T>(
        &self,
        file: &str,
        mut attempt: impl FnMut() -> Result<T, ApiError>,
    ) -> Result<T, HubError> {
        let mut tries = 0;
        loop {
            let error = match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if tries == self.options.retries || !is_passing(&error) {
                return Err(self.failed(file, error));
            }
            std::thread::sleep(Duration::from_millis(100 << tries.min(6)));
            tries += 1;
        }
    }

    fn failed(&self, file: &str, error: ApiError) -> HubError {
        let repository = self.repository.id.clone();
        match status(&error) {
            // The Hub answers 401 for what does not exist, too, to those without a token.
            Some(401 | 403) => HubError::NoAccess {
                repository,
                endpoint: self.options.endpoint.clone(),
                with_token: self.options.token.is_some(),
            },
            Some(404) => HubError::NoSuchRepository {
                repository,
                revision: self.repository.revision.clone(),
                file: file.to_owned(),
                endpoint: self.options.endpoint.clone(),
            },
            _ => HubError::Download {
                repository,
                file: file.to_owned(),
                endpoint: self.options.endpoint.clone(),
                source: Box::new(error),
            },
        }
    }
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}

fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(code) => Some(code),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the same request may succeed a little later.
fn is_passing(error: &ApiError) -> bool {
    match error {
        ApiError::RequestError(_) => status(error).is_none_or(|code| code >= 500 || code == 429),
        ApiError::IoError(error) => !matches!(
            error.kind(),
            std::io::ErrorKind::PermissionDenied
                | std::io::ErrorKind::StorageFull
                | std::io::ErrorKind::ReadOnlyFilesystem
                | std::io::ErrorKind::NotADirectory
        ),
        _ => false,
    }
}

/// Hands hf-hub's progress on. It calls `init` twice, reports the leftover as if it had just come, and says nothing
/// at the end of a download that broke off.
struct Relay<'a> {
    progress: &'a dyn DownloadProgress,
    done: u64,
    started: bool,
    /// Bytes of the leftover that are still to be reported.
    leftover: usize,
}

impl<'a> Relay<'a> {
    fn new(progress: &'a dyn DownloadProgress, done: u64) -> Self {
        Self { progress, done, started: false, leftover: usize::try_from(done).unwrap_or(usize::MAX) }
    }
}

impl Progress for Relay<'_> {
    fn init(&mut self, size: usize, filename: &str) {
        if !std::mem::replace(&mut self.started, true) {
            self.progress.start(filename, size as u64, self.done);
        }
    }

    fn update(&mut self, size: usize) {
        let old = self.leftover.min(size);
        self.leftover -= old;
        self.progress.advance((size - old) as u64);
    }

    fn finish(&mut self) {}
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if self.started {
            self.progress.finish();
        }
    }
}
