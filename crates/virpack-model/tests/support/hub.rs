//! A Hub on loopback that answers as the real one does, or as a test's manners have it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

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
        self.path.starts_with("/api/")
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

/// The answer of a Hub that does as it should.
fn honest(folder: &Path, request: &Request) -> Reply {
    let (status, body, etag, range) = if request.is_list() {
        let files = r#"[{"rfilename":"config.json"},{"rfilename":"model.safetensors"}]"#;
        ("200 OK", format!(r#"{{"sha":"{SHA}","siblings":{files}}}"#).into_bytes(), None, None)
    } else {
        let name = request.path.rsplit('/').next().unwrap();
        let whole = fs::read(folder.join(name)).unwrap();
        let etag = if request.is_weights() { hex(&Sha256::digest(&whole)) } else { "plain-tag".to_owned() };
        let (from, to) = request.range.trim_start_matches("bytes=").split_once('-').unwrap_or(("0", ""));
        let from: usize = from.parse().unwrap_or(0);
        let to = to.parse().map_or(whole.len(), |last: usize| last + 1);
        let range = format!("bytes {from}-{}/{}", to - 1, whole.len());
        ("206 Partial Content", whole[from..to].to_vec(), Some(etag), Some(range))
    };
    let mut headers = vec![("Content-Length", body.len().to_string())];
    headers.extend(etag.map(|etag| ("ETag", format!("\"{etag}\""))));
    headers.extend(range.map(|range| ("Content-Range", range)));
    Reply { status, headers, body, then: Then::Close }
}

pub(crate) type Manners = dyn Fn(&Request, Reply) -> Reply + Send + Sync;

/// A server; it ends with the test's process.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    /// `path token` of every request.
    pub(crate) log: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    pub(crate) fn new(manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(&folder(), manners)
    }

    /// Has the `config.json` and `model.safetensors` of a folder.
    pub(crate) fn of(
        folder: &Path,
        manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let folder: Arc<Path> = folder.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (told, manners): (_, Arc<Manners>) = (Arc::clone(&log), Arc::new(manners));
        let times = Arc::new(Mutex::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, manners, times) = (Arc::clone(&told), Arc::clone(&manners), Arc::clone(&times));
                let folder = Arc::clone(&folder);
                // A client that hangs up is none of the server's business.
                std::thread::spawn(move || drop(answer(stream, &folder, &*manners, &told, &times)));
            }
        });
        Self { endpoint, log }
    }

    pub(crate) fn options(&self, cache: &Path) -> HubOptions {
        HubOptions {
            cache: cache.to_owned(),
            endpoint: self.endpoint.clone(),
            token: Some("hf_secret".to_owned()),
            offline: false,
            retries: 1,
            timeout: Duration::from_millis(400),
        }
    }
}

fn answer(
    mut stream: TcpStream,
    folder: &Path,
    manners: &Manners,
    log: &Mutex<Vec<(String, String)>>,
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
    log.lock().unwrap().push((request.path.clone(), request.token.clone()));
    let known = request.is_list()
        || ["config.json", "model.safetensors"].iter().any(|name| request.path.ends_with(name));
    let reply = if known { honest(folder, &request) } else { Reply::status("404 Not Found") };
    let reply = manners(&request, reply);
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
