//! Damaged files in the Hub's cache: the run that finds them names them and downloads them again.

#[path = "../../../virpack-model/tests/it/support/hub.rs"]
mod hub;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hub::{REPO, Reply, Server, file};
use virpack_core::CancelToken;
use virpack_core::Error;
use virpack_core::Hint;
use virpack_core::model::Location;
use virpack_core::model::ModelError;
use virpack_core::model::hub::{
    DownloadProgress, HubError, HubOptions, Refetch, WhyKept, load_again, resolve,
};
use virpack_core::{DeviceChoice, DeviceOptions};
use virpack_core::{EmbedOptions, EmbedderOptions, embed};

/// What a progress bar receives: the damage, and the files that are downloaded.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl DownloadProgress for Told {
    fn start(&self, file: &str, _bytes: u64, _done: u64) {
        self.0.lock().unwrap().push(format!("start {file}"));
    }
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn damaged(&self, file: &Path, problem: &str) {
        self.0.lock().unwrap().push(format!("{}: {problem}", file.display()));
    }
}

/// A model in a cache, and its Hub.
struct Cached {
    server: Server,
    cache: tempfile::TempDir,
    path: PathBuf,
    /// Its weights in the cache.
    blob: PathBuf,
    told: Arc<Told>,
}

impl Cached {
    /// After the first download, the Hub answers requests for the bytes of the weights with `second`.
    fn new(second: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Self {
        let server = Server::new(move |request, reply| match request.is_body() && request.times > 1 {
            true => second(reply),
            false => reply,
        });
        let cache = tempfile::tempdir().unwrap();
        let path = resolve(REPO, &server.options(cache.path()), &()).unwrap();
        let blob = path.join("model.safetensors").canonicalize().unwrap();
        Cached { server, cache, path, blob, told: Arc::default() }
    }

    fn options(&self) -> HubOptions {
        self.server.options(self.cache.path())
    }

    /// Changes the weights in the cache.
    fn damage(&self, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = fs::read(&self.blob).unwrap();
        change(&mut bytes);
        fs::write(&self.blob, &bytes).unwrap();
        bytes
    }

    fn refetch(&self, options: HubOptions) -> Refetch {
        Refetch::new(options, Arc::clone(&self.told) as Arc<_>)
    }

    /// Embeds one record, downloading damaged files from this Hub, if there is one; returns the file of
    /// embeddings.
    fn embed(&self, downloads: Option<HubOptions>) -> Result<Vec<u8>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let [input, output] = ["in.fa", "out.npy"].map(|name| folder.path().join(name));
        fs::write(&input, ">a\nMKTAYIAKQR\n").unwrap();
        let mut embedder =
            EmbedderOptions::new(&self.path).device(DeviceOptions::default().device(DeviceChoice::Cpu));
        if let Some(hub) = downloads {
            embedder = embedder.downloads(hub, Arc::clone(&self.told) as Arc<_>);
        }
        let options = EmbedOptions::new(vec![input.into()], embedder, &output);
        let ended = embed(&options, &CancelToken::new(), |_| ());
        assert_eq!(ended.is_ok(), output.exists());
        ended.map(|_| fs::read(output).unwrap())
    }

    /// Returns what was reported: the damage, then one download.
    #[track_caller]
    fn assert_mended(&self, problem: &str) {
        let told = self.told.0.lock().unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with(&*self.blob.to_string_lossy()) && told[0].contains(problem), "{told:?}");
        assert_eq!(told[1], "start model.safetensors");
        assert_eq!(fs::read(&self.blob).unwrap(), file("model.safetensors"));
    }
}

/// The last byte of a file is a value of a tensor.
fn flip_a_value(bytes: &mut [u8]) {
    *bytes.last_mut().unwrap() ^= 0x40;
}

#[test]
fn a_flipped_bit_is_found_and_the_same_run_ends_right() {
    let cached = Cached::new(|reply| reply);
    let right = cached.embed(None).unwrap();
    cached.damage(|bytes| flip_a_value(bytes));
    assert_eq!(cached.embed(Some(cached.options())).unwrap(), right);
    cached.assert_mended("the SHA-256 of model.safetensors is ");
    // Without damage nothing is downloaded.
    assert_eq!(cached.embed(Some(cached.options())).unwrap(), right);
    assert_eq!(cached.told.0.lock().unwrap().len(), 2);
}

#[test]
fn a_renamed_tensor_is_damage_and_not_another_model() {
    let cached = Cached::new(|reply| reply);
    let right = cached.embed(None).unwrap();
    cached.damage(|bytes| {
        let name = b"query.weight";
        let place = bytes.windows(name.len()).position(|window| window == name).unwrap();
        bytes[place] ^= 1;
    });
    assert_eq!(cached.embed(Some(cached.options())).unwrap(), right);
    cached.assert_mended("the SHA-256 of model.safetensors is ");
}

#[test]
fn a_truncated_blob_is_downloaded_again_when_the_model_is_resolved() {
    let cached = Cached::new(|reply| reply);
    cached.damage(|bytes| bytes.truncate(5000));
    assert_eq!(resolve(REPO, &cached.options(), &*cached.told).unwrap(), cached.path);
    cached.assert_mended("model.safetensors has 5000 bytes there instead of 11528");
}

#[test]
fn offline_the_damage_is_named_and_nothing_is_removed() {
    let cached = Cached::new(|reply| reply);
    let offline = cached.options().offline(true);
    let damaged = cached.damage(|bytes| flip_a_value(bytes));
    for (refetch, says) in [
        (Some(offline.clone()), "unset HF_HUB_OFFLINE to download it again"),
        (None, "remove it, and run again to download it"),
    ] {
        let error = cached.embed(refetch).unwrap_err();
        assert!(
            matches!(&error, Error::Model(ModelError::DamagedInCache(damage)) if damage.files[0].blob == cached.blob)
        );
        let message = error.to_string();
        assert!(message.contains("damaged: its SHA-256 is "), "{message}");
        assert!(error.hint().unwrap().starts_with(says), "{error:?}");
    }
    assert_eq!(fs::read(&cached.blob).unwrap(), damaged);
    cached.damage(|bytes| bytes.truncate(5000));
    let error = resolve(REPO, &offline, &()).unwrap_err();
    assert!(matches!(error, ModelError::Hub(HubError::DamagedOffline { .. })), "{error}");
    let message = error.to_string();
    assert!(message.contains("the file has 5000, and HF_HUB_OFFLINE"), "{message}");
    assert!(
        error.hint().unwrap().starts_with("unset HF_HUB_OFFLINE to download tiny/esm2 again"),
        "{error:?}"
    );
    assert!(cached.told.0.lock().unwrap().is_empty());
}

#[test]
fn a_second_download_that_fails_ends_the_run() {
    let cached = Cached::new(|_| Reply::status("500 Internal Server Error"));
    cached.damage(|bytes| flip_a_value(bytes));
    let error = cached.embed(Some(cached.options())).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("the second download failed: ") && message.contains("HTTP status 500"),
        "{message}"
    );
    assert!(error.hint().is_some(), "{error:?}");
    assert!(matches!(
        error,
        Error::Model(ModelError::DamagedInCache(damage)) if matches!(damage.kept, WhyKept::Failed(_))
    ));
}

#[test]
fn a_model_is_loaded_twice_at_most() {
    let cached = Cached::new(|reply| reply);
    let model = Location::Disk(cached.path.clone());
    let refetch = cached.refetch(cached.options());
    let mut loads = 0;
    let error = load_again(Some(&refetch), &[&model], || {
        loads += 1;
        // A disk that damages everything written to it.
        cached.damage(|bytes| flip_a_value(bytes));
        ended_with_damage(&cached)
    });
    let error = error.unwrap_err();
    assert!(error.to_string().ends_with("although it was just downloaded"), "{error}");
    assert!(error.hint().unwrap().starts_with("check this machine"), "{error:?}");
    assert_eq!(loads, 2);
    cached.damage(|bytes| flip_a_value(bytes));
    cached.assert_mended("the SHA-256 of model.safetensors is ");
}

/// Loads a model, which finds the damage.
fn ended_with_damage(cached: &Cached) -> Result<(), Error> {
    cached.embed(None).map(drop)
}
