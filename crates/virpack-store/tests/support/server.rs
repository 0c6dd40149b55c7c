//! A server of objects on loopback, in the form of an S3 bucket and of any web server.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The fault of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server is busy.
    Busy,
    /// The connection ends in the middle of the body.
    Torn,
}

/// The contents of the server, and the requests that it received.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// By `/BUCKET/KEY`.
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// The faults of the next answers to `GET`.
    pub(crate) faults: VecDeque<Fault>,
    /// Whether every request is refused.
    pub(crate) refuses: bool,
    /// Whether ranges are ignored.
    pub(crate) sends_all: bool,
    /// The time of all objects, which then have no tag.
    pub(crate) untagged: Option<&'static str>,
    /// The target to which every request is redirected.
    pub(crate) redirects: Option<String>,
    /// The object and the bytes of each `GET` that was answered in full.
    pub(crate) sent: Vec<(String, u64)>,
}

/// The server, which ends with the process.
pub(crate) struct Server {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::<Mutex<State>>::default();
        let of_thread = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&of_thread);
                // A client may disconnect in the middle of an answer.
                std::thread::spawn(move || _ = answer(stream, &state));
            }
        });
        Server { address, state }
    }

    /// `http://HOST:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        self.state().objects.insert(path.to_owned(), bytes.as_ref().to_vec());
        self
    }
}

/// Returns the tag of a content.
fn etag(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("\"{sum:x}\"")
}

/// Answers one request, and closes the connection.
fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let fault = if method == "GET" { state.faults.pop_front() } else { None };
    let bucket = path.split('/').nth(1).unwrap_or_default();
    let has_bucket = state.objects.keys().any(|key| key.split('/').nth(1) == Some(bucket));
    let wrong = |status: &str, code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>{code}, says\nthe store.</Message></Error>");
        (status.to_owned(), String::new(), body.into_bytes())
    };
    let (status, more, body) = match state.objects.get(&path) {
        _ if state.redirects.is_some() => {
            let to = state.redirects.clone().unwrap_or_default();
            ("302 Found".to_owned(), format!("Location: {to}\r\n"), Vec::new())
        }
        _ if state.refuses => wrong("403 Forbidden", "InvalidAccessKeyId"),
        _ if fault == Some(Fault::Busy) => wrong("503 Slow Down", "SlowDown"),
        None if has_bucket => wrong("404 Not Found", "NoSuchKey"),
        None => wrong("404 Not Found", "NoSuchBucket"),
        Some(bytes) if headers.get("if-match").is_some_and(|tag| *tag != etag(bytes)) => {
            wrong("412 Precondition Failed", "PreconditionFailed")
        }
        Some(bytes) => {
            let range = headers.get("range").filter(|_| !state.sends_all).and_then(|range| {
                let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
                Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
            });
            let tag = match state.untagged {
                None => format!("ETag: {}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", etag(bytes)),
                Some(modified) => format!("Last-Modified: {modified}\r\n"),
            };
            match range {
                Some((first, _)) if first >= bytes.len() => {
                    let range = format!("Content-Range: bytes */{}\r\n", bytes.len());
                    ("416 Range Not Satisfiable".to_owned(), tag + &range, Vec::new())
                }
                Some((first, last)) => {
                    let end = bytes.len().min(last + 1);
                    let range = format!("Content-Range: bytes {first}-{}/{}\r\n", end - 1, bytes.len());
                    ("206 Partial Content".to_owned(), tag + &range, bytes[first..end].to_vec())
                }
                None => ("200 OK".to_owned(), tag, bytes.clone()),
            }
        }
    };
    let mut sent = body.len();
    if fault == Some(Fault::Torn) {
        sent /= 2;
    } else if method == "GET" && status.starts_with('2') {
        state.sent.push((path, body.len() as u64));
    }
    drop(state);
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    (&stream).write_all(head.as_bytes())?;
    if method != "HEAD" {
        (&stream).write_all(&body[..sent])?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // The rest of the client's request is read, because otherwise the client would see the connection
    // reset.
    std::io::copy(&mut (&stream).take(1 << 20), &mut std::io::sink()).map(drop)
}
