//! Names of models, fetched from a small server on loopback that answers as the Hub does.

use std::cell::RefCell;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use virpack_model::hub::{DownloadProgress, HubError, HubOptions, Repository, cached, resolve};
use virpack_model::weights::Weights;
use virpack_model::{Esm2Config, ModelError};
use virpack_seq::Hint;

use crate::support::hub::{Files, REPO, Reply, Request, SHA, Server, file, files};

/// A Hub with a model of `fixtures/weights`, whose ETags are no hashes.
fn server(form: &str, manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Server {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/weights").join(form);
    with(files(&folder), manners)
}

fn with(files: Files, manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Server {
    Server::with(files, move |request, mut reply| {
        if reply.headers.iter().any(|(name, _)| *name == "ETag") {
            reply.set("ETag", format!("\"tag-{}\"", request.path.rsplit('/').next().unwrap()));
        }
        manners(request, reply)
    })
}

fn honest(_: &Request, reply: Reply) -> Reply {
    reply
}

/// Ends as many answers as this in the middle.
fn cuts(count: usize) -> impl Fn(&Request, Reply) -> Reply + Send + Sync {
    let count = AtomicUsize::new(count);
    move |_, mut reply| {
        if reply.body.len() > 1000 && count_down(&count) {
            reply.body.truncate(reply.body.len() / 2);
        }
        reply
    }
}

fn count_down(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

fn options_of(server: &Server, cache: &Path) -> HubOptions {
    HubOptions::new(cache).endpoint(&server.endpoint).retries(3).timeout(Duration::from_secs(5))
}

fn assert_is_the_model(path: &Path) {
    let weights = Weights::open(path).unwrap();
    let config = Esm2Config::of(&weights).unwrap();
    assert_eq!((config.layers, config.hidden, config.heads), (2, 8, 2));
    for (name, shape) in config.tensors() {
        assert!(weights.read(&name, &shape).unwrap().iter().all(|value| value.abs() <= 2.0));
    }
}

/// What a progress bar is told.
#[derive(Default)]
struct Told(RefCell<Vec<(String, u64, u64)>>);

impl DownloadProgress for Told {
    fn start(&self, file: &str, bytes: u64, done: u64) {
        self.0.borrow_mut().push((file.to_owned(), bytes, done));
    }
    fn advance(&self, bytes: u64) {
        self.0.borrow_mut().last_mut().unwrap().2 += bytes;
    }
    fn finish(&self) {
        self.0.borrow_mut().last_mut().unwrap().0.push('!');
    }
}

#[test]
fn a_name_is_downloaded_once_and_then_taken_from_the_cache() {
    for form in ["safetensors", "safetensors_sharded", "bin", "bin_sharded"] {
        let server = server(form, honest);
        let cache = tempfile::tempdir().unwrap();
        let options = options_of(&server, cache.path());
        let told = Told::default();
        let path = resolve(REPO, &options, &told).unwrap();
        assert_is_the_model(&path);
        assert!(path.ends_with(format!("models--tiny--esm2/snapshots/{SHA}")), "{}", path.display());
        for (file, bytes, come) in &*told.0.borrow() {
            assert!(file.ends_with('!') && bytes == come, "{file} {bytes} {come}");
        }
        let before = server.log.lock().unwrap().len();
        let offline = options.offline(true);
        for model in [REPO.to_owned(), format!("{REPO}@main"), format!("{REPO}@{SHA}")] {
            assert_eq!(resolve(&model, &offline, &()).unwrap(), path);
        }
        assert_eq!(server.log.lock().unwrap().len(), before);
        assert_eq!(cached(&Repository::parse(REPO).unwrap(), &offline), Some(path));
    }
}

#[test]
fn only_config_and_weights_are_fetched_and_safetensors_are_preferred() {
    let mut files = Files::new();
    for name in ["config.json", "model.safetensors"] {
        files.insert(name.to_owned(), file(name));
    }
    files.insert("pytorch_model.bin".to_owned(), vec![0; 100]);
    files.insert("tf_model.h5".to_owned(), vec![0; 100]);
    // As files in the Hub's large-file storage.
    let server = with(files, |request, mut reply| {
        if request.path.contains("/resolve/") {
            reply.status = "302 Found";
            reply.drop("Content-Range");
            reply.set("Location", format!("/store/{}", request.path.rsplit('/').next().unwrap()));
            reply.set("Content-Length", 0);
            reply.body.clear();
        }
        reply
    });
    let cache = tempfile::tempdir().unwrap();
    assert_is_the_model(&resolve(REPO, &options_of(&server, cache.path()), &()).unwrap());
    assert!(
        server.requests("pytorch_model.bin", "").is_empty() && server.requests("tf_model.h5", "").is_empty()
    );
    assert!(!server.requests("/store/model.safetensors", "").is_empty());
}

#[test]
fn a_broken_download_continues_where_it_broke() {
    let (cuts, busy) = (cuts(2), AtomicUsize::new(1));
    let server = server("safetensors", move |request, reply| {
        if !request.is_list() && count_down(&busy) {
            return Reply::status("503 Service Unavailable");
        }
        cuts(request, reply)
    });
    let cache = tempfile::tempdir().unwrap();
    let told = Told::default();
    assert_is_the_model(&resolve(REPO, &options_of(&server, cache.path()), &told).unwrap());
    let requests = server.requests("model.safetensors", "bytes=");
    let ranges: Vec<_> = requests.iter().map(|request| request.range.trim_start_matches("bytes=")).collect();
    let ranges: Vec<_> = ranges.into_iter().filter(|range| *range != "0-0").collect();
    assert_eq!(ranges, ["0-", "5764-", "8646-"]);
    let told = told.0.into_inner();
    assert_eq!(told.last().unwrap(), &("model.safetensors!".to_owned(), 11528, 11528));
}

#[test]
fn a_later_run_continues_a_broken_download_and_ignores_a_worthless_one() {
    let server = server("safetensors", cuts(1));
    let cache = tempfile::tempdir().unwrap();
    let options = options_of(&server, cache.path()).retries(0);
    let broken = resolve(REPO, &options, &()).unwrap_err();
    assert!(
        matches!(&broken, ModelError::Hub(HubError::Download { file, .. }) if file == "model.safetensors"),
        "{broken}"
    );
    assert!(broken.hint().unwrap().starts_with("run again"), "{broken:?}");
    assert_eq!(cached(&Repository::parse(REPO).unwrap(), &options), None);
    assert_is_the_model(&resolve(REPO, &options, &()).unwrap());
    assert!(!server.requests("model.safetensors", "bytes=5764-").is_empty());

    // a leftover as long as the file, whose rename never came: nothing can be asked for after its end
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--tiny--esm2/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join("tag-model.safetensors.incomplete"), vec![0; 11528]).unwrap();
    assert_is_the_model(&resolve(REPO, &options_of(&server, cache.path()), &()).unwrap());
}

#[test]
fn a_server_that_ignores_ranges_cannot_spoil_the_file() {
    let cut = server("safetensors", cuts(1));
    let cache = tempfile::tempdir().unwrap();
    assert!(resolve(REPO, &options_of(&cut, cache.path()).retries(0), &()).is_err());
    let times = AtomicUsize::new(1);
    let deaf = server("safetensors", move |request, mut reply| {
        if request.range.ends_with('-') && count_down(&times) {
            reply.status = "200 OK";
            reply.drop("Content-Range");
            reply.body = file(request.path.rsplit('/').next().unwrap());
            reply.set("Content-Length", reply.body.len());
        }
        reply
    });
    // the config is whole and not fetched again, so the deaf answer is the one for the weights
    let options = options_of(&deaf, cache.path()).retries(2);
    assert_is_the_model(&resolve(REPO, &options, &()).unwrap());
}

#[test]
fn the_token_is_sent_and_a_missing_one_is_reported() {
    let server = server("safetensors", |request, reply| match request.token.as_str() {
        "Bearer hf_abc" => reply,
        _ => Reply::status("401 Unauthorized"),
    });
    let cache = tempfile::tempdir().unwrap();
    let options = options_of(&server, cache.path());
    let refused = resolve(REPO, &options, &()).unwrap_err();
    assert!(matches!(refused, ModelError::Hub(HubError::NoAccess { with_token: false, .. })), "{refused}");
    assert!(refused.hint().unwrap().contains("set HF_TOKEN"), "{refused:?}");
    let wrong = options.clone().token(Some("hf_no".into()));
    let refused = resolve(REPO, &wrong, &()).unwrap_err();
    assert!(matches!(refused, ModelError::Hub(HubError::NoAccess { with_token: true, .. })), "{refused}");
    assert!(!refused.to_string().contains("hf_no"));
    let right = options.token(Some("hf_abc".into()));
    assert_is_the_model(&resolve(REPO, &right, &()).unwrap());
}

#[test]
fn offline_means_no_request_and_a_hint() {
    let server = server("safetensors", honest);
    let cache = tempfile::tempdir().unwrap();
    let options = options_of(&server, cache.path()).offline(true);
    let refused = resolve("esm2_t6_8M_UR50D", &options, &()).unwrap_err();
    assert!(matches!(refused, ModelError::Hub(HubError::NotCached { .. })), "{refused}");
    let message = refused.to_string();
    assert!(message.contains("facebook/esm2_t6_8M_UR50D"), "{message}");
    assert!(refused.hint().unwrap().starts_with("unset HF_HUB_OFFLINE"), "{refused:?}");
    assert!(server.log.lock().unwrap().is_empty());
}

#[test]
fn what_the_hub_lacks_is_named() {
    let server = server("safetensors", honest);
    let cache = tempfile::tempdir().unwrap();
    let options = options_of(&server, cache.path());
    let absent = resolve("absent/nothing", &options, &()).unwrap_err();
    assert!(matches!(absent, ModelError::Hub(HubError::NoSuchRepository { .. })), "{absent}");
    assert!(absent.hint().unwrap().contains("no such local path"), "{absent:?}");
    let server = with(Files::from([("config.json".into(), vec![])]), honest);
    let empty = resolve(REPO, &options_of(&server, cache.path()), &()).unwrap_err();
    assert!(matches!(empty, ModelError::NoWeights { .. }), "{empty}");
}

#[test]
fn without_a_network_the_error_names_what_was_tried() {
    // a port that was free a moment ago, and that no server answers
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions::new(cache.path())
        .endpoint(format!("http://127.0.0.1:{port}"))
        .timeout(Duration::from_secs(5));
    let error = resolve("esm2_t6_8M_UR50D", &options, &()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("facebook/esm2_t6_8M_UR50D") && message.contains(&port.to_string()),
        "{message}"
    );
    assert!(error.hint().unwrap().contains("name their directory as the model"), "{error:?}");
}

#[test]
fn an_unwritable_cache_is_an_error_at_once() {
    let server = server("safetensors", honest);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = resolve(REPO, &options_of(&server, &file.join("cache")), &()).unwrap_err();
    assert!(matches!(refused, ModelError::Hub(HubError::Download { .. })), "{refused}");
    assert!(refused.to_string().contains(" is not a local path, and its "), "{refused}");
}

#[test]
fn paths_come_first_and_neither_is_an_error_with_the_names() {
    let options = HubOptions::new("/absent").endpoint("http://127.0.0.1:9").offline(true);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(resolve(folder.path().to_str().unwrap(), &options, &()).unwrap(), folder.path());
    for model in ["esm2_t6", "/no/such/dir", "./models", "models/esm2.pt", "a/b/c", "", "../x"] {
        let refused = resolve(model, &options, &()).unwrap_err();
        assert!(matches!(refused, ModelError::Hub(HubError::ModelNotFound { .. })), "{refused}");
        assert!(refused.hint().unwrap().contains("650M, "), "{refused:?}");
    }
}

#[test]
fn a_model_of_nucleotides_comes_with_its_tokenizer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dnabert_tiny/8");
    let mut files: Files = ["config.json", "model.safetensors", "tokenizer.json"]
        .map(|name| (name.to_owned(), fs::read(folder.join(name)).unwrap()))
        .into();
    let cache = tempfile::tempdir().unwrap();
    let server = with(files.clone(), honest);
    let path = resolve(REPO, &options_of(&server, cache.path()), &()).unwrap();
    let tokenizer = path.join("tokenizer.json");
    assert_eq!(fs::read(&tokenizer).unwrap(), files["tokenizer.json"]);
    // Cached without it, it is fetched again, and the rest is not.
    fs::remove_file(&tokenizer).unwrap();
    let server = with(files.clone(), honest);
    let options = options_of(&server, cache.path());
    assert_eq!(cached(&Repository::parse(REPO).unwrap(), &options), None);
    resolve(REPO, &options, &()).unwrap();
    assert!(tokenizer.exists());
    // A repository without one is refused by the file's name.
    files.remove("tokenizer.json");
    let server = with(files, honest);
    let empty = tempfile::tempdir().unwrap();
    let error = resolve(REPO, &options_of(&server, empty.path()), &()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
}
