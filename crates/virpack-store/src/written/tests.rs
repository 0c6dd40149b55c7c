//! Objects written to a server that conflicts, loses answers, and has another object by the end of an upload.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::client::ClientOptions;
use object_store::{BackoffConfig, RetryConfig};

use super::*;
use crate::client::{Connector, agent};

/// An answer to the next request of a kind: the request's beginning, a status (0: none), the headers and the
/// body.
type Answer = (&'static str, u16, &'static str, &'static str);

const BEGUN: Answer = (
    "POST /bucket/key?uploads",
    200,
    "",
    "<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>",
);
const PIECE_SENT: Answer = ("PUT /bucket/key?partNumber=", 200, "ETag: \"piece\"\r\n", "");
const GONE: Answer = ("POST /bucket/key?uploadId=", 404, "", "<Error><Code>NoSuchUpload</Code></Error>");
const COMPLETED: Answer = (
    "POST /bucket/key?uploadId=",
    200,
    "",
    "<CompleteMultipartUploadResult><ETag>\"all\"</ETag></CompleteMultipartUploadResult>",
);
const ABANDONED: Answer = ("DELETE /bucket/key?uploadId=", 204, "", "");
const ABSENT: Answer = ("HEAD /bucket/key", 404, "", "");
/// 17,000,000 bytes, written after this test began.
const WRITTEN: Answer = (
    "HEAD /bucket/key",
    200,
    "ETag: \"all\"\r\nLast-Modified: Tue, 01 Jan 2199 00:00:00 GMT\r\nContent-Length: 17000000\r\n",
    "",
);
/// As many bytes, from before.
const OLDER: Answer = (
    "HEAD /bucket/key",
    200,
    "ETag: \"old\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 17000000\r\n",
    "",
);

/// Starts a server that gives these answers, each to the first request that begins so, and returns the object
/// there. A request without an answer gets status 501.
fn object(answers: &[Answer]) -> (WrittenObject, Arc<Mutex<VecDeque<Answer>>>) {
    let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let of_thread = Arc::clone(&answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answers = Arc::clone(&of_thread);
            std::thread::spawn(move || answer(stream, &answers));
        }
    });
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, ..RetryConfig::default() };
    let store = AmazonS3Builder::new()
        .with_endpoint(format!("http://{address}"))
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_http_connector(Connector(agent().unwrap()))
        .with_bucket_name("bucket")
        .with_region("us-east-1")
        .with_access_key_id("me")
        .with_secret_access_key("secret")
        .with_retry(retry)
        .build()
        .unwrap();
    (WrittenObject(StoreKey::for_test(Arc::new(store), "key")), answers)
}

fn answer(stream: TcpStream, answers: &Mutex<VecDeque<Answer>>) {
    let mut from = BufReader::new(&stream);
    let (mut request, mut length) = (String::new(), 0);
    from.read_line(&mut request).unwrap();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.parse().unwrap();
        }
    }
    std::io::copy(&mut from.take(length), &mut std::io::sink()).unwrap();
    let mut answers = answers.lock();
    let place = answers.iter().position(|(begins, ..)| request.starts_with(begins));
    let (_, status, headers, body) =
        place.and_then(|place| answers.remove(place)).unwrap_or(("", 501, "", ""));
    drop(answers);
    if status == 0 {
        return;
    }
    // The answer to `HEAD` states the length of the object.
    let length = match headers.contains("Content-Length") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {status} x\r\n{headers}{length}Connection: close\r\n\r\n");
    (&stream).write_all(format!("{head}{body}").as_bytes()).unwrap();
}

/// A file of two pieces.
fn large() -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![7; 17_000_000]).unwrap();
    file
}

#[test]
fn a_conflict_is_a_failure_unless_the_object_must_be_new() {
    let conflict = ("PUT /bucket/key", 409, "", "<Error><Code>OperationAborted</Code></Error>");
    let (object, _) = object(&[conflict; 4]);
    let error = object.put(b"new".to_vec()).unwrap_err();
    assert!(matches!(error, StoreError::Other { .. }), "{error:?}");
    assert!(!object.put_new(b"new".to_vec()).unwrap());
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"new").unwrap();
    assert!(object.upload(&mut file).is_err());
    assert!(!object.upload_new(&mut file).unwrap());
}

#[test]
fn a_fault_of_the_store_is_not_blamed_on_credentials() {
    let (object, _) = object(&[("PUT /bucket/key", 500, "", "<Error><Message>broken</Message></Error>")]);
    let error = object.put(b"new".to_vec()).unwrap_err();
    assert!(
        matches!(error, StoreError::Other { .. }) && !error.to_string().contains("credentials"),
        "{error:?}"
    );
}

#[test]
fn an_object_that_exists_is_not_replaced_by_one_that_must_be_new() {
    let (object, _) =
        object(&[("PUT /bucket/key", 412, "", ""), ("PUT /bucket/key", 200, "ETag: \"e\"\r\n", "")]);
    assert!(!object.put_new(b"new".to_vec()).unwrap());
    assert!(object.put_new(b"new".to_vec()).unwrap());
}

#[test]
fn a_store_without_conditions_is_asked_whether_an_object_exists() {
    const NO_CONDITIONS: Answer =
        ("PUT /bucket/key", 501, "", "<Error><Code>NotImplemented</Code><Message>no</Message></Error>");
    let (absent, left) = object(&[NO_CONDITIONS, ABSENT, ("PUT /bucket/key", 200, "ETag: \"e\"\r\n", "")]);
    assert!(absent.put_new(b"new".to_vec()).unwrap());
    assert!(left.lock().is_empty(), "{left:?}");
    let (there, _) = object(&[NO_CONDITIONS, OLDER]);
    assert!(!there.put_new(b"new".to_vec()).unwrap());
    // Without the condition the same answer is a failure.
    let (replaced, _) = object(&[NO_CONDITIONS]);
    assert!(replaced.put(b"new".to_vec()).is_err());
}

#[test]
fn a_new_object_whose_answer_was_lost_is_written_and_another_is_not() {
    const LOST: Answer = ("PUT /bucket/key", 0, "", "");
    const EXISTS: Answer = ("PUT /bucket/key", 412, "", "");
    let bytes = vec![7; 17_000_000];
    let (own, left) = object(&[LOST, EXISTS, WRITTEN]);
    assert!(own.put_new(bytes.clone()).unwrap());
    assert!(left.lock().is_empty(), "{left:?}");
    let (other, _) = object(&[LOST, EXISTS, OLDER]);
    assert!(!other.put_new(bytes).unwrap());
}

#[test]
fn an_upload_whose_last_answer_was_lost_is_complete_if_the_object_is_new() {
    let upload = [BEGUN, PIECE_SENT, PIECE_SENT, GONE];
    let (written, left) = object(&[&upload[..], &[WRITTEN]].concat());
    written.upload(&mut large()).unwrap();
    assert!(left.lock().is_empty(), "all was asked for");

    // An object from before, or none: the store has dropped the upload.
    for head in [OLDER, ABSENT] {
        let (written, left) = object(&[&upload[..], &[head, ABANDONED]].concat());
        let error = written.upload(&mut large()).unwrap_err().to_string();
        assert_eq!(error, "the store has removed the upload while it was under way");
        assert!(left.lock().is_empty(), "the upload is abandoned");
    }
}

#[test]
fn an_object_that_appears_during_an_upload_is_left_and_the_upload_abandoned() {
    let upload = [BEGUN, PIECE_SENT, PIECE_SENT];
    let (written, left) = object(&[&upload[..], &[OLDER, ABANDONED, COMPLETED]].concat());
    assert!(!written.upload_new(&mut large()).unwrap());
    assert_eq!(*left.lock(), [COMPLETED], "the upload is abandoned, not completed");
    let (written, left) = object(&[&upload[..], &[ABSENT, COMPLETED]].concat());
    assert!(written.upload_new(&mut large()).unwrap());
    assert!(left.lock().is_empty(), "{left:?}");
}
