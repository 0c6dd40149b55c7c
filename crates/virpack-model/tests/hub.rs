//! Names of models, fetched from a small server on loopback that answers as the Hub does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use virpack_model::ModelError;
use virpack_model::config::Esm2Config;
use virpack_model::hub::{DownloadProgress, HubError, HubOptions, Repository, cached, resolve};
use virpack_model::weights::Weights;
use virpack_seq::Hint;

const REPO: &str = "tiny/esm2";
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the server behaves; each number counts down to 0.
#[derive(Default)]
struct Manners {
    /// Downloads that are cut in the middle.
    cuts: AtomicUsize,
    /// Requests for files answered by 503.
    busy: AtomicUsize,
    /// Downloads for which the range is ignored.
    deaf: AtomicUsize,
    /// What `Authorization` must be.
    secret: Option<&'static str>,
    /// Files answer by a redirect, as those in the Hub's large-file storage.
    redirect: bool,
}

/// One file-serving Hub; it ends with the test's process.
struct Server {
    endpoint: String,
    /// `path range authorization` of every request.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(form: &str, manners: Manners) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/weights").join(form);
        let read =
            |file: fs::DirEntry| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap());
        let files: HashMap<_, _> = fs::read_dir(folder).unwrap().map(|file| read(file.unwrap())).collect();
        Self::with_files(files, manners)
    }

    fn with_files(files: HashMap<String, Vec<u8>>, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up is none of the server's business.
                let _ = answer(stream, &files, &manners, &log);
            }
        });
        Self { endpoint, requests }
    }

    fn requests(&self, of: &str) -> Vec<String> {
        self.requests.lock().unwrap().iter().filter(|line| line.contains(of)).cloned().collect()
    }

    fn options(&self, cache: &Path) -> HubOptions {
        HubOptions {
            cache: cache.to_owned(),
            endpoint: self.endpoint.clone(),
            token: None,
            offline: false,
            retries: 3,
            timeout: Duration::from_secs(5),
        }
    }
}

fn count_down(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

fn answer(
    mut stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    manners: &Manners,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let get = |name: &str| headers.get(name).cloned().unwrap_or_default();
    log.lock().unwrap().push(format!("{path} {} {}", get("range"), get("authorization")));
    let mut status = |line: &str| write!(stream, "HTTP/1.1 {line}\r\nConnection: close\r\n");
    if manners.secret.is_some_and(|secret| get("authorization") != format!("Bearer {secret}")) {
        status("401 Unauthorized")?;
        return write!(stream, "Content-Length: 0\r\n\r\n");
    }
    if path.starts_with(&format!("/api/models/{REPO}/revision/")) {
        let siblings: Vec<_> = files.keys().map(|name| format!("{{\"rfilename\":\"{name}\"}}")).collect();
        let body = format!("{{\"sha\":\"{SHA}\",\"id\":\"x\",\"siblings\":[{}]}}", siblings.join(","));
        status("200 OK")?;
        return write!(
            stream,
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
    let resolved = path.strip_prefix(&format!("/{REPO}/resolve/{SHA}/"));
    let name = resolved.or_else(|| path.strip_prefix("/store/"));
    let Some((name, file)) = name.and_then(|name| files.get_key_value(name)) else {
        status("404 Not Found")?;
        return write!(stream, "Content-Length: 0\r\n\r\n");
    };
    if count_down(&manners.busy) {
        status("503 Service Unavailable")?;
        return write!(stream, "Content-Length: 0\r\n\r\n");
    }
    let facts = format!("ETag: \"tag-{name}\"\r\nX-Repo-Commit: {SHA}\r\n");
    if manners.redirect && resolved.is_some() {
        status("302 Found")?;
        return write!(stream, "{facts}Location: /store/{name}\r\nContent-Length: 0\r\n\r\n");
    }
    let range = get("range");
    let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap_or(("0", ""));
    let from: usize = from.parse().unwrap_or(0);
    let to = to.parse().map_or(file.len(), |last: usize| last + 1);
    if to == file.len() && count_down(&manners.deaf) {
        status("200 OK")?;
        write!(stream, "{facts}Content-Length: {}\r\n\r\n", file.len())?;
        return stream.write_all(file);
    }
    if from >= file.len() {
        status("416 Range Not Satisfiable")?;
        return write!(stream, "Content-Length: 0\r\n\r\n");
    }
    let part = &file[from..to];
    status("206 Partial Content")?;
    write!(
        stream,
        "{facts}Content-Range: bytes {from}-{}/{}\r\nContent-Length: {}\r\n\r\n",
        to - 1,
        file.len(),
        part.len()
    )?;
    if part.len() > 1000 && count_down(&manners.cuts) {
        return stream.write_all(&part[..part.len() / 2]);
    }
    stream.write_all(part)
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
        let server = Server::new(form, Manners::default());
        let cache = tempfile::tempdir().unwrap();
        let options = server.options(cache.path());
        let told = Told::default();
        let path = resolve(REPO, &options, &told).unwrap();
        assert_is_the_model(&path);
        assert!(path.ends_with(format!("models--tiny--esm2/snapshots/{SHA}")), "{}", path.display());
        for (file, bytes, come) in &*told.0.borrow() {
            assert!(file.ends_with('!') && bytes == come, "{file} {bytes} {come}");
        }
        let before = server.requests("").len();
        let offline = HubOptions { offline: true, ..options };
        for model in [REPO.to_owned(), format!("{REPO}@main"), format!("{REPO}@{SHA}")] {
            assert_eq!(resolve(&model, &offline, &()).unwrap(), path);
        }
        assert_eq!(server.requests("").len(), before);
        assert_eq!(cached(&Repository::parse(REPO).unwrap(), &offline), Some(path));
    }
}

#[test]
fn only_config_and_weights_are_fetched_and_safetensors_are_preferred() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/weights/safetensors");
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let mut files = HashMap::from([("config.json".to_owned(), read("config.json"))]);
    files.insert("model.safetensors".to_owned(), read("model.safetensors"));
    files.insert("pytorch_model.bin".to_owned(), vec![0; 100]);
    files.insert("tf_model.h5".to_owned(), vec![0; 100]);
    let server = Server::with_files(files, Manners { redirect: true, ..Manners::default() });
    let cache = tempfile::tempdir().unwrap();
    assert_is_the_model(&resolve(REPO, &server.options(cache.path()), &()).unwrap());
    assert!(server.requests("pytorch_model.bin").is_empty() && server.requests("tf_model").is_empty());
    assert!(!server.requests("/store/model.safetensors").is_empty());
}

#[test]
fn a_cut_connection_is_taken_up_where_it_broke() {
    let server = Server::new("safetensors", Manners { cuts: 2.into(), busy: 1.into(), ..Manners::default() });
    let cache = tempfile::tempdir().unwrap();
    let told = Told::default();
    assert_is_the_model(&resolve(REPO, &server.options(cache.path()), &told).unwrap());
    let ranges: Vec<_> = server
        .requests("model.safetensors bytes=")
        .iter()
        .filter(|line| !line.contains("=0-0"))
        .map(|line| line.split("bytes=").nth(1).unwrap().trim().to_owned())
        .collect();
    assert_eq!(ranges, ["0-", "5764-", "8646-"]);
    let told = told.0.into_inner();
    assert_eq!(told.last().unwrap(), &("model.safetensors!".to_owned(), 11528, 11528));
}

#[test]
fn a_later_run_takes_up_a_broken_download_and_ignores_a_worthless_one() {
    let server = Server::new("safetensors", Manners { cuts: 1.into(), ..Manners::default() });
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions { retries: 0, ..server.options(cache.path()) };
    let broken = resolve(REPO, &options, &()).unwrap_err();
    assert!(
        matches!(&broken, ModelError::Hub(HubError::Download { file, .. }) if file == "model.safetensors"),
        "{broken}"
    );
    assert!(broken.hint().unwrap().starts_with("run again"), "{broken:?}");
    assert_eq!(cached(&Repository::parse(REPO).unwrap(), &options), None);
    assert_is_the_model(&resolve(REPO, &options, &()).unwrap());
    assert!(!server.requests("model.safetensors bytes=5764-").is_empty());

    // a leftover as long as the file, whose rename never came: nothing can be asked for after its end
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--tiny--esm2/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join("tag-model.safetensors.incomplete"), vec![0; 11528]).unwrap();
    assert_is_the_model(&resolve(REPO, &server.options(cache.path()), &()).unwrap());
}

#[test]
fn a_server_that_ignores_ranges_cannot_spoil_the_file() {
    let manners = Manners { cuts: 1.into(), deaf: 0.into(), ..Manners::default() };
    let server = Server::new("safetensors", manners);
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions { retries: 0, ..server.options(cache.path()) };
    assert!(resolve(REPO, &options, &()).is_err());
    let deaf = Server::new("safetensors", Manners { deaf: 1.into(), ..Manners::default() });
    // the config is whole and not fetched again, so the deaf answer is the one for the weights
    let options = HubOptions { retries: 2, ..deaf.options(cache.path()) };
    assert_is_the_model(&resolve(REPO, &options, &()).unwrap());
}

#[test]
fn the_token_is_sent_and_its_lack_is_an_error_that_says_so() {
    let server = Server::new("safetensors", Manners { secret: Some("hf_abc"), ..Manners::default() });
    let cache = tempfile::tempdir().unwrap();
    let options = server.options(cache.path());
    let refused = resolve(REPO, &options, &()).unwrap_err();
    assert!(matches!(refused, ModelError::Hub(HubError::NoAccess { with_token: false, .. })), "{refused}");
    assert!(refused.hint().unwrap().contains("set HF_TOKEN"), "{refused:?}");
    let wrong = HubOptions { token: Some("hf_no".into()), ..options.clone() };
    let refused = resolve(REPO, &wrong, &()).unwrap_err();
    assert!(matches!(refused, ModelError::Hub(HubError::NoAccess { with_token: true, .. })), "{refused}");
    assert!(!refused.to_string().contains("hf_no"));
    let right = HubOptions { token: Some("hf_abc".into()), ..options };
    assert_is_the_model(&resolve(REPO, &right, &()).unwrap());
}

#[test]
fn offline_means_no_request_and_a_hint() {
    let server = Server::new("safetensors", Manners::default());
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions { offline: true, ..server.options(cache.path()) };
    let refused = resolve("esm2_t6_8M_UR50D", &options, &()).unwrap_err();
    assert!(matches!(refused, ModelError::Hub(HubError::NotCached { .. })), "{refused}");
    let message = refused.to_string();
    assert!(message.contains("facebook/esm2_t6_8M_UR50D"), "{message}");
    assert!(refused.hint().unwrap().starts_with("unset HF_HUB_OFFLINE"), "{refused:?}");
    assert!(server.requests("").is_empty());
}

#[test]
fn what_the_hub_lacks_is_named() {
    let server = Server::new("safetensors", Manners::default());
    let cache = tempfile::tempdir().unwrap();
    let options = server.options(cache.path());
    let absent = resolve("nobody/nothing", &options, &()).unwrap_err();
    assert!(matches!(absent, ModelError::Hub(HubError::NoSuchRepository { .. })), "{absent}");
    assert!(absent.hint().unwrap().contains("no such local path"), "{absent:?}");
    let server = Server::with_files(HashMap::from([("config.json".into(), vec![])]), Manners::default());
    let empty = resolve(REPO, &server.options(cache.path()), &()).unwrap_err();
    assert!(matches!(empty, ModelError::NoWeights { .. }), "{empty}");
}

#[test]
fn without_a_network_the_error_says_what_was_tried() {
    // a port that was free a moment ago, and that nobody answers
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions {
        cache: cache.path().into(),
        endpoint: format!("http://127.0.0.1:{port}"),
        token: None,
        offline: false,
        retries: 5,
        timeout: Duration::from_secs(5),
    };
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
    let server = Server::new("safetensors", Manners::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = resolve(REPO, &server.options(&file.join("cache")), &()).unwrap_err();
    assert!(matches!(refused, ModelError::Hub(HubError::Download { .. })), "{refused}");
    assert!(refused.to_string().contains(" is no local path, and its "), "{refused}");
}

#[test]
fn paths_come_first_and_neither_is_an_error_with_the_names() {
    let options = HubOptions {
        cache: PathBuf::from("/absent"),
        endpoint: "http://127.0.0.1:9".into(),
        token: None,
        offline: true,
        retries: 0,
        timeout: Duration::from_secs(5),
    };
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(resolve(folder.path().to_str().unwrap(), &options, &()).unwrap(), folder.path());
    for model in ["esm2_t6", "/no/such/dir", "./models", "models/esm2.pt", "a/b/c", "", "../x"] {
        let refused = resolve(model, &options, &()).unwrap_err();
        assert!(matches!(refused, ModelError::Hub(HubError::ModelNotFound { .. })), "{refused}");
        assert!(refused.hint().unwrap().contains("esm2_t33_650M_UR50D"), "{refused:?}");
    }
}

#[test]
fn a_model_of_nucleotides_comes_with_its_tokenizer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dnabert_tiny/8");
    let mut files: HashMap<String, Vec<u8>> = ["config.json", "model.safetensors", "tokenizer.json"]
        .map(|name| (name.to_owned(), fs::read(folder.join(name)).unwrap()))
        .into();
    let cache = tempfile::tempdir().unwrap();
    let server = Server::with_files(files.clone(), Manners::default());
    let path = resolve(REPO, &server.options(cache.path()), &()).unwrap();
    let tokenizer = path.join("tokenizer.json");
    assert_eq!(fs::read(&tokenizer).unwrap(), files["tokenizer.json"]);
    // Cached without it, it is fetched again, and the rest is not.
    fs::remove_file(&tokenizer).unwrap();
    let server = Server::with_files(files.clone(), Manners::default());
    let options = server.options(cache.path());
    assert_eq!(cached(&Repository::parse(REPO).unwrap(), &options), None);
    resolve(REPO, &options, &()).unwrap();
    assert!(tokenizer.exists());
    // A repository without one is refused by the file's name.
    files.remove("tokenizer.json");
    let server = Server::with_files(files, Manners::default());
    let empty = tempfile::tempdir().unwrap();
    let error = resolve(REPO, &server.options(empty.path()), &()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
}
