//! A Hub on loopback that answers as the real one does, or as a test's manners have it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use virpack_model::hub::HubOptions;
use virpack_seq::reader::hex;

pub(crate) const REPO: &str = "tiny/esm2";
pub(crate) const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// What was asked.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: String,
    pub(crate) token: String,
    /// How many requests for the weights' bytes there were, this one included.
    pub(crate) times: usize,
}

impl Request {
    pub(crate) fn is_list(&self) -> bool {
        self.path.starts_with("/api/models/")
    }

    pub(crate) fn is_weights(&self) -> bool {
        self.path.contains("model.safetensors")
    }

    /// For the weights' bytes, rather than for what they are.
    pub(crate) fn is_body(&self) -> bool {
        self.is_weights() && self.range != "bytes=0-0"
    }
}

/// What is answered.
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) then: Then,
}

/// What follows the body.
#[derive(PartialEq)]
pub(crate) enum Then {
    Close,
    /// Bytes without end.
    Endless,
    /// A byte now and then.
    Drip,
    /// Nothing, on an open connection.
    Hang,
}

impl Reply {
    pub(crate) fn set(&mut self, name: &'static str, value: impl ToString) {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_string()));
    }

    pub(crate) fn drop(&mut self, name: &str) {
        self.headers.retain(|(other, _)| *other != name);
    }

    pub(crate) fn status(status: &'static str) -> Self {
        let headers = vec![("Content-Length", "0".to_owned())];
        Reply { status, headers, body: Vec::new(), then: Then::Close }
    }

    pub(crate) fn whole(body: Vec<u8>) -> Self {
        let headers = vec![("Content-Length", body.len().to_string())];
        Reply { status: "200 OK", headers, body, then: Then::Close }
    }

    pub(crate) fn to(place: &str) -> Self {
        let mut reply = Self::status("302 Found");
        reply.set("Location", place);
        reply
    }
}

/// A tiny ESM-2 of two layers, 8 wide.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/weights/safetensors")
}

pub(crate) fn file(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

/// The files of a repository, by their names.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// All files of a folder.
pub(crate) fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.path().is_file());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// The answer of a Hub that does as it should.
fn honest(files: &Files, request: &Request) -> Reply {
    if request.is_list() {
        let names = files.keys().map(|name| format!(r#"{{"rfilename":"{name}"}}"#)).collect::<Vec<_>>();
        let body = format!(r#"{{"sha":"{SHA}","siblings":[{}]}}"#, names.join(",")).into_bytes();
        let known = request.path.starts_with(&format!("/api/models/{REPO}/"));
        return if known { Reply::whole(body) } else { Reply::status("404 Not Found") };
    }
    let name = request.path.rsplit('/').next().unwrap();
    let Some(whole) = files.get(name).filter(|_| !request.path.starts_with("/api/")) else {
        return Reply::status("404 Not Found");
    };
    let (from, to) = request.range.trim_start_matches("bytes=").split_once('-').unwrap_or(("0", ""));
    let from: usize = from.parse().unwrap_or(0);
    let to = to.parse().map_or(whole.len(), |last: usize| last + 1);
    if from >= whole.len() {
        return Reply::status("416 Range Not Satisfiable");
    }
    let is_large = [".safetensors", ".bin"].iter().any(|end| name.ends_with(end));
    let etag = if is_large { hex(&Sha256::digest(whole)) } else { format!("tag-{name}") };
    let mut reply = Reply::whole(whole[from..to].to_vec());
    reply.status = "206 Partial Content";
    reply.set("ETag", format!("\"{etag}\""));
    reply.set("Content-Range", format!("bytes {from}-{}/{}", to - 1, whole.len()));
    reply
}

pub(crate) type Manners = dyn Fn(&Request, Reply) -> Reply + Send + Sync;

/// A request as the server's log has it.
#[derive(Clone)]
pub(crate) struct Logged {
    pub(crate) path: String,
    pub(crate) range: String,
    pub(crate) token: String,
}

/// A server; it ends with the test's process.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    pub(crate) log: Arc<Mutex<Vec<Logged>>>,
}

impl Server {
    pub(crate) fn new(manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(&folder(), manners)
    }

    /// Has the files of a folder.
    pub(crate) fn of(
        folder: &Path,
        manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::with(files(folder), manners)
    }

    pub(crate) fn with(
        files: Files,
        manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let files = Arc::new(files);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (told, manners): (_, Arc<Manners>) = (Arc::clone(&log), Arc::new(manners));
        let times = Arc::new(Mutex::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, manners, times) = (Arc::clone(&told), Arc::clone(&manners), Arc::clone(&times));
                let files = Arc::clone(&files);
                // A client that hangs up is none of the server's business.
                std::thread::spawn(move || drop(answer(stream, &files, &*manners, &told, &times)));
            }
        });
        Self { endpoint, log }
    }

    /// Requests whose path ends with `name` and whose range begins with `range`.
    pub(crate) fn requests(&self, name: &str, range: &str) -> Vec<Logged> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|one| one.path.ends_with(name) && one.range.starts_with(range)).cloned().collect()
    }

    pub(crate) fn options(&self, cache: &Path) -> HubOptions {
        let options = HubOptions::new(cache).endpoint(&self.endpoint).token(Some("hf_secret".to_owned()));
        options.retries(1).timeout(Duration::from_millis(400))
    }
}

fn answer(
    mut stream: TcpStream,
    files: &Files,
    manners: &Manners,
    log: &Mutex<Vec<Logged>>,
    times: &Mutex<usize>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut request = Request { path, range: String::new(), token: String::new(), times: 0 };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = value.to_owned(),
            "authorization" => request.token = value.to_owned(),
            _ => {}
        }
    }
    *times.lock().unwrap() += usize::from(request.is_body());
    request.times = *times.lock().unwrap();
    let Request { path, range, token, .. } = &request;
    log.lock().unwrap().push(Logged { path: path.clone(), range: range.clone(), token: token.clone() });
    let reply = manners(&request, honest(files, &request));
    if reply.status.is_empty() {
        return stream.write_all(&reply.body);
    }
    write!(stream, "HTTP/1.1 {}\r\nConnection: close\r\n", reply.status)?;
    for (name, value) in &reply.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&reply.body)?;
    let begun = Instant::now();
    while reply.then != Then::Close && begun.elapsed() < Duration::from_secs(20) {
        match reply.then {
            Then::Endless => stream.write_all(&[0; 4096])?,
            Then::Drip => {
                stream.write_all(&[0])?;
                std::thread::sleep(Duration::from_millis(100));
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    Ok(())
}
