//! Objects on a web server on loopback that is busy, closes connections, changes and refuses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "support/server.rs"]
mod server;

use server::{Fault, Server};
use std::io::Read;
use std::time::{Duration, SystemTime};
use virpack_store::{Object, ObjectUrl, StoreError};

/// 20 MB: three requests.
fn letters() -> Vec<u8> {
    (0..20_000_000_u32).map(|i| b"ACGT"[(i.wrapping_mul(2_654_435_761) >> 30) as usize]).collect()
}

fn url(server: &Server, path: &str) -> ObjectUrl {
    ObjectUrl::parse(&format!("{}{path}", server.url())).unwrap()
}

fn read(object: &Object, bytes: std::ops::Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    object.reader(bytes)?.read_to_end(&mut read).map(|_| read)
}

#[test]
fn an_object_is_read_whatever_breaks_off() {
    let (server, letters) = (Server::start(), letters());
    server.put("/b/a.fa", &letters).put("/b/empty", "");
    server.state().faults.extend([Fault::Busy, Fault::Torn]);
    let object = Object::open(&url(&server, "/b/a.fa?X-Amz-Signature=x")).unwrap();
    let state = object.state();
    assert_eq!(state.bytes, 20_000_000);
    assert_eq!(state.modified, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)));
    server.state().sent.clear();
    server.state().faults.extend([Fault::Torn, Fault::Busy, Fault::Torn]);
    assert!(read(&object, 0..20_000_000).unwrap() == letters);
    assert!(server.state().faults.is_empty(), "all faults were met");
    assert_eq!(server.state().sent.iter().map(|(_, bytes)| bytes).sum::<u64>(), 20_000_000);
    assert_eq!(read(&object, 7..12).unwrap(), letters[7..12]);
    assert_eq!(read(&object, 9..9).unwrap(), b"");
    let empty = Object::open(&url(&server, "/b/empty")).unwrap();
    assert_eq!((empty.state().bytes, read(&empty, 0..0).unwrap()), (0, Vec::new()));
}

#[test]
fn an_object_that_changes_is_not_read_on() {
    let (server, letters) = (Server::start(), letters());
    server.put("/b/a.fa", &letters);
    let object = Object::open(&url(&server, "/b/a.fa")).unwrap();
    server.put("/b/a.fa", &letters[1..]);
    let error = read(&object, 0..5).unwrap_err();
    assert!(matches!(StoreError::of_io(&error), Some(StoreError::Changed)), "{error:?}");
    assert_eq!(object.state_now().unwrap().bytes, 19_999_999);
    server.state().objects.clear();
    assert!(matches!(object.state_now(), Err(StoreError::NoObject)));
}

#[test]
fn an_object_without_a_tag_is_known_by_its_size_and_time() {
    let server = Server::start();
    server.put("/b/a.fa", "ACGTACGT");
    server.state().untagged = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    let object = Object::open(&url(&server, "/b/a.fa")).unwrap();
    assert_eq!(read(&object, 2..5).unwrap(), b"GTA");
    for (time, letters) in
        [("Sun, 06 Nov 1994 08:49:38 GMT", "TTTTTTTT"), ("Sun, 06 Nov 1994 08:49:37 GMT", "ACGTACGTA")]
    {
        server.state().untagged = Some(time);
        server.put("/b/a.fa", letters);
        let error = read(&object, 2..5).unwrap_err();
        assert!(matches!(StoreError::of_io(&error), Some(StoreError::Changed)), "{error:?}");
    }
}

#[test]
fn a_redirect_that_fails_is_not_shown() {
    let server = Server::start();
    for to in ["http://host:bad port/x?X-Amz-Signature=SECRET", "/again?X-Amz-Signature=SECRET"] {
        server.state().redirects = Some(to.to_owned());
        let error = Object::open(&url(&server, "/b/a.fa?X-Amz-Signature=SECRET")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    }
}

#[test]
fn what_keeps_an_object_from_being_read_is_one_line_with_a_hint() {
    let server = Server::start();
    server.put("/b/a.fa", "ACGT");
    let error = |path: &str| {
        let error = Object::open(&url(&server, path)).unwrap_err();
        assert!(!error.to_string().contains('\n') && error.hint().is_some(), "{error:?}");
        error.to_string()
    };
    assert_eq!(error("/b/c.fa"), "there is no such object");
    server.state().sends_all = true;
    assert_eq!(error("/b/a.fa"), "the server sends no ranges of bytes");
    server.state().refuses = true;
    assert_eq!(error("/b/a.fa?secret"), "access is refused: InvalidAccessKeyId, says (status 403)");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nowhere = ObjectUrl::parse(&format!("http://me:pass@127.0.0.1:{port}/a.fa?secret")).unwrap();
    let error = Object::open(&nowhere).unwrap_err();
    assert!(matches!(error, StoreError::Network { .. }), "{error:?}");
    assert!(!format!("{error} {error:?} {nowhere} {nowhere:?}").contains("secret"), "{error:?}");
    for wrong in ["s3://bucket", "gs://bucket/", "az:///key"] {
        let error = Object::open(&ObjectUrl::parse(wrong).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "the URL is not complete");
    }
    let key = "s3://bucket//a.fa";
    assert!(matches!(Object::open(&ObjectUrl::parse(key).unwrap()), Err(StoreError::Key)));
}
