//! Fetching a repository's files into the cache: the Hub's protocol, and what keeps a wrong byte out of the cache.
//!
//! A file comes into `blobs/ETAG.incomplete`, is resumed there after a break, is hashed completely and
//! compared with what the Hub promised, and only then gets its name.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use virpack_seq::escaped;
use virpack_seq::reader::hex;

use super::attempt_error::AttemptError;
use super::cache::RepositoryDir;
use super::client::{Answer, Client, LEAST_BYTES, content_range, patience};
use super::{CONFIG, DownloadProgress, HubError, HubOptions, Repository, TOKENIZER, needs_tokenizer};
use crate::ModelError;
use crate::checksum::{checksum, is_sha256};
use crate::guarded;
use crate::location::Location;
use crate::weights;

/// Bytes of a repository's list of files at most.
const LARGEST_LIST: u64 = 32 << 20;

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

/// Downloads config, weights and, where the model needs it, tokenizer of a repository; gives the directory that holds them.
pub(super) fn download(
    repository: &Repository,
    options: &HubOptions,
    progress: &dyn DownloadProgress,
) -> Result<PathBuf, ModelError> {
    let hub = Hub::new(repository, options, progress)?;
    // Not retried: where there is no network, waiting only delays the message.
    let (commit, names) = hub.list().map_err(|problem| hub.failed(CONFIG, problem))?;
    if names.iter().any(|name| name == weights::adapters::SETTINGS) {
        let path = PathBuf::from(&repository.id);
        return Err(weights::adapters::refused(path, weights::adapters::SETTINGS.into(), None));
    }
    let weights_name = weights::NAMES.into_iter().find(|name| names.iter().any(|other| other == name));
    let weights_name = weights_name.ok_or_else(|| ModelError::NoWeights {
        path: PathBuf::from(&repository.id),
        looked_for: weights::NAMES.map(String::from).to_vec(),
        found: Vec::new(),
    })?;
    // One commit for all files: a branch that moves meanwhile would mix two models.
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
    hub.folder.refer(&repository.revision, &commit).map_err(|error| hub.failed(CONFIG, error.into()))?;
    Ok(hub.folder.snapshot(&commit))
}

/// Downloads one file of a commit, which the cache has damaged.
pub(super) fn download_again(
    repository: &Repository,
    options: &HubOptions,
    progress: &dyn DownloadProgress,
    name: &str,
) -> Result<(), HubError> {
    Hub::new(repository, options, progress)?.file(&repository.revision, name).map(drop)
}

struct Hub<'a> {
    repository: &'a Repository,
    options: &'a HubOptions,
    progress: &'a dyn DownloadProgress,
    client: Client<'a>,
    folder: RepositoryDir,
}

/// The facts about a file in the Hub's answer.
pub(super) struct FileFacts {
    pub(super) etag: String,
    pub(super) size: u64,
}

impl FileFacts {
    /// Returns the SHA-256 that the file must have, where the Hub names it.
    fn sha256(&self) -> Option<&str> {
        Some(&*self.etag).filter(|etag| is_sha256(etag))
    }
}

impl<'a> Hub<'a> {
    fn new(
        repository: &'a Repository,
        options: &'a HubOptions,
        progress: &'a dyn DownloadProgress,
    ) -> Result<Self, HubError> {
        let folder = RepositoryDir::of(&options.cache, &repository.id);
        let client = Client::new(options).map_err(|problem| failed(repository, options, CONFIG, problem))?;
        Ok(Hub { repository, options, progress, client, folder })
    }

    /// Returns the commit that the revision is, and the names of its files.
    fn list(&self) -> Result<(String, Vec<String>), AttemptError> {
        let revision = percent_encoded(&self.repository.revision);
        let answer =
            self.client.get(&format!("/api/models/{}/revision/{revision}", self.repository.id), None)?;
        let mut text = Vec::new();
        answer
            .response
            .into_body()
            .into_reader()
            .take(LARGEST_LIST + 1)
            .read_to_end(&mut text)
            .map_err(read_failed)?;
        if text.len() as u64 > LARGEST_LIST {
            return Err(AttemptError::TooLong { size: LARGEST_LIST });
        }
        listed(&text)
    }

    /// One file, from the cache or the network, as the Hub describes it.
    fn file(&self, commit: &str, name: &str) -> Result<PathBuf, HubError> {
        let mut tries = 0;
        loop {
            let problem = match self.fetch(commit, name) {
                Ok(file) => return Ok(file),
                Err(problem) => problem,
            };
            if tries == self.options.retries || !problem.is_passing() {
                return Err(self.failed(name, problem));
            }
            // A little longer each time.
            std::thread::sleep(Duration::from_millis(100 << tries.min(6)));
            tries += 1;
        }
    }

    fn fetch(&self, commit: &str, name: &str) -> Result<PathBuf, AttemptError> {
        let path = format!("/{}/resolve/{commit}/{}", self.repository.id, percent_encoded(name));
        let facts = facts(&self.client.get(&path, Some((0, Some(0))))?)?;
        let _lock = self.folder.lock(&facts.etag)?;
        let blob = self.folder.blob(&facts.etag);
        if length(&blob).is_some() {
            // There from before, but nothing of this commit, or damaged, or this function would not have been called.
            let Err(problem) = checked(&blob, name, &facts, None) else {
                return Ok(self.folder.link(&facts.etag, commit, name)?);
            };
            self.progress.damaged(&blob, &damage(name, &problem));
            fs::remove_file(&blob)?;
        }
        let part = self.folder.part(&facts.etag);
        fs::create_dir_all(self.folder.path.join("blobs"))?;
        if length(&part).is_some_and(|length| length > facts.size) {
            fs::remove_file(&part)?;
        }
        let mut hasher = Sha256::new();
        let done = match guarded::open(&part) {
            Ok(mut file) => io::copy(&mut file, &mut hasher)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        self.progress.start(name, facts.size, done);
        let fetched =
            if done < facts.size { self.append(&path, &part, done, &facts, &mut hasher) } else { Ok(()) };
        self.progress.finish();
        let fetched = fetched.and_then(|()| checked(&part, name, &facts, Some(hex(&hasher.finalize()))));
        match fetched {
            Ok(()) => {}
            // Nothing of these is worth taking up.
            Err(
                problem @ (AttemptError::Hash { .. }
                | AttemptError::Damaged(_)
                | AttemptError::TooLong { .. }),
            ) => {
                let _gone = fs::remove_file(&part);
                return Err(problem);
            }
            Err(problem) => return Err(problem),
        }
        guarded::open(&part)?.sync_all()?;
        fs::rename(&part, &blob)?;
        Ok(self.folder.link(&facts.etag, commit, name)?)
    }

    /// Fetches what is missing of a file, and not a byte more.
    fn append(
        &self,
        path: &str,
        part: &Path,
        mut done: u64,
        facts: &FileFacts,
        hasher: &mut Sha256,
    ) -> Result<(), AttemptError> {
        let answer = self.client.get(path, Some((done, None)))?;
        let mut file = guarded::open_in_place(part, |options| _ = options.append(true))?;
        if answer.response.status().as_u16() == 206 {
            let range = answer.last("content-range").and_then(content_range);
            if range != Some((done, facts.size)) {
                return Err(AttemptError::Range);
            }
        } else if done > 0 {
            // The range was ignored: the file comes from its beginning.
            file.set_len(0)?;
            *hasher = Sha256::new();
            done = 0;
        }
        let mut body = answer.response.into_body().into_reader();
        let (mut piece, mut since, mut come) = (vec![0; PIECE], Instant::now(), 0);
        while done < facts.size {
            let room = usize::try_from(facts.size - done).unwrap_or(PIECE).min(PIECE);
            let count = body.read(&mut piece[..room]).map_err(read_failed)?;
            if count == 0 {
                return Err(AttemptError::Ended { found: done, size: facts.size });
            }
            file.write_all(&piece[..count])?;
            hasher.update(&piece[..count]);
            (done, come) = (done + count as u64, come + count as u64);
            self.progress.advance(count as u64);
            let patience = patience(self.options.timeout);
            if since.elapsed() > patience {
                if come < LEAST_BYTES {
                    return Err(AttemptError::Slow { least: LEAST_BYTES, seconds: patience.as_secs() });
                }
                (since, come) = (Instant::now(), 0);
            }
        }
        match body.read(&mut piece[..1]) {
            Ok(0) | Err(_) => Ok(()),
            Ok(_) => Err(AttemptError::TooLong { size: facts.size }),
        }
    }

    fn failed(&self, file: &str, problem: AttemptError) -> HubError {
        failed(self.repository, self.options, file, problem)
    }
}

fn failed(repository: &Repository, options: &HubOptions, file: &str, problem: AttemptError) -> HubError {
    let (id, endpoint) = (repository.id.clone(), options.shown_endpoint());
    match problem {
        // The Hub answers 401 for what does not exist, too, to those without a token.
        AttemptError::Status(401 | 403) => {
            HubError::NoAccess { repository: id, endpoint, with_token: options.token.is_some() }
        }
        AttemptError::Status(404) => HubError::NoSuchRepository {
            repository: id,
            revision: repository.revision.clone(),
            file: file.to_owned(),
            endpoint,
        },
        AttemptError::Certificate(reason) => HubError::Certificate { endpoint, reason },
        AttemptError::NoCertificates(error) => HubError::NoCertificates(error),
        problem => HubError::Download {
            repository: id,
            file: file.to_owned(),
            endpoint,
            source: escaped(&options.without_password(&problem.to_string())).into(),
        },
    }
}

/// Returns the commit and the names of files in the Hub's list of a repository.
pub(super) fn listed(text: &[u8]) -> Result<(String, Vec<String>), AttemptError> {
    let json: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| AttemptError::List(error.to_string()))?;
    let commit = json.get("sha").and_then(|sha| sha.as_str()).unwrap_or_default();
    // It becomes a path in the cache: a server must not choose another with it.
    if !is_commit(commit) {
        return Err(AttemptError::List("no commit in it".to_owned()));
    }
    let files = json.get("siblings").and_then(|files| files.as_array()).map_or(&[][..], Vec::as_slice);
    let names = files.iter().filter_map(|file| Some(file.get("rfilename")?.as_str()?.to_owned())).collect();
    Ok((commit.to_owned(), names))
}

/// Returns the facts about a file in the Hub's answer, whose ETag becomes a name in the cache.
pub(super) fn facts(answer: &Answer) -> Result<FileFacts, AttemptError> {
    let etag = answer.header("x-linked-etag").or_else(|| answer.header("etag")).unwrap_or_default();
    let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if etag.is_empty() || etag.len() > 128 || etag.starts_with('.') || !etag.bytes().all(is_plain) {
        return Err(AttemptError::Header("ETag"));
    }
    let whole = answer.last("content-range").and_then(content_range).map(|(_, whole)| whole);
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
    let linked = number(answer.header("x-linked-size"));
    let size = whole.or(linked).or_else(|| number(answer.last("content-length")));
    let size = size.filter(|size| linked.is_none_or(|linked| linked == *size));
    Ok(FileFacts { etag, size: size.ok_or(AttemptError::Header("Content-Range"))? })
}

/// Compares a complete file with the Hub's facts: by its SHA-256, else by size and its own consistency.
fn checked(path: &Path, name: &str, facts: &FileFacts, sha256: Option<String>) -> Result<(), AttemptError> {
    if length(path) != Some(facts.size) {
        return Err(AttemptError::Ended { found: length(path).unwrap_or(0), size: facts.size });
    }
    if let Some(promised) = facts.sha256() {
        let found = match sha256 {
            Some(found) => found,
            None => checksum(path)?.1,
        };
        if !found.eq_ignore_ascii_case(promised) {
            return Err(AttemptError::Hash { found, promised: promised.to_owned() });
        }
    }
    if name.ends_with(".safetensors") {
        weights::check_safetensors(&Location::from(path))
            .map_err(|error| AttemptError::Damaged(error.to_string()))?;
    }
    Ok(())
}

/// Returns what is wrong with a file of the cache, for people.
fn damage(name: &str, problem: &AttemptError) -> String {
    match problem {
        AttemptError::Ended { found, size } => format!("{name} has {found} bytes there instead of {size}"),
        AttemptError::Hash { found, .. } => format!("the SHA-256 of {name} is {found} there"),
        problem => format!("{name}: {problem}"),
    }
}

/// Returns an error of a body's reader: the network's, of which the client's own are inside.
fn read_failed(error: io::Error) -> AttemptError {
    match error.downcast::<ureq::Error>() {
        Ok(error) => error.into(),
        Err(error) => AttemptError::Network(error.into()),
    }
}

fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns a part of a path in a URL.
fn percent_encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}
