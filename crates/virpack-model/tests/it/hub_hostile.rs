//! A Hub that misbehaves, on loopback: each misbehaviour has its own ending, and no wrong byte gets a name in
//! the cache.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::hub::{REPO, Reply, Request, Server, Then, file};
use sha2::{Digest, Sha256};
use virpack_model::hub::resolve;
use virpack_model::weights::Weights;
use virpack_seq::reader::hex;

/// Each blob of the cache that is named by a SHA-256 has it, and nothing is whole by name only.
fn assert_clean(cache: &Path) {
    let Ok(blobs) = fs::read_dir(cache.join("models--tiny--esm2/blobs")) else { return };
    for blob in blobs {
        let blob = blob.unwrap();
        let name = blob.file_name().into_string().unwrap();
        if name.len() == 64 {
            assert_eq!(hex(&Sha256::digest(fs::read(blob.path()).unwrap())), name);
        }
    }
}

/// Asks a Hub of such manners; nothing where the model came whole.
fn ending(manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Option<String> {
    let server = Server::new(manners);
    let cache = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let result = resolve(REPO, &server.options(cache.path()), &());
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_clean(cache.path());
    match result {
        Ok(path) => {
            Weights::open(&path).unwrap();
            assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), file("model.safetensors"));
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Changes the answer to requests for the weights' bytes.
fn body(
    change: impl Fn(&Request, &mut Reply) + Send + Sync,
) -> impl Fn(&Request, Reply) -> Reply + Send + Sync {
    move |request, mut reply| {
        if request.is_body() {
            change(request, &mut reply);
        }
        reply
    }
}

/// Changes all answers for the weights.
fn weights(change: impl Fn(&mut Reply) + Send + Sync) -> impl Fn(&Request, Reply) -> Reply + Send + Sync {
    move |request, mut reply| {
        if request.is_weights() {
            change(&mut reply);
        }
        reply
    }
}

fn list(text: &'static str) -> impl Fn(&Request, Reply) -> Reply + Send + Sync {
    move |request, mut reply| {
        if request.is_list() {
            reply.body = text.as_bytes().to_vec();
            reply.set("Content-Length", text.len());
        }
        reply
    }
}

#[track_caller]
fn fails(says: &str, manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) {
    let message = ending(manners).expect("an error");
    assert!(message.contains(says), "{message}");
    assert!(!message.contains("hf_secret"), "{message}");
}

#[track_caller]
fn comes(manners: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) {
    assert_eq!(ending(manners), None);
}

#[test]
fn statuses_end_as_they_should() {
    comes(|_, reply| reply);
    fails("HTTP status 500", weights(|reply| *reply = Reply::status("500 Internal Server Error")));
    fails("HTTP status 416", body(|_, reply| *reply = Reply::status("416 Range Not Satisfiable")));
    fails("HTTP status 418", weights(|reply| *reply = Reply::status("418 Teapot")));
    fails("has no model.safetensors", weights(|reply| *reply = Reply::status("404 Not Found")));
    fails("gives no access", weights(|reply| *reply = Reply::status("403 Forbidden")));
    comes(body(|request, reply| {
        if request.times == 1 {
            *reply = Reply::status("429 Too Many Requests");
        }
    }));
}

#[test]
fn redirects_are_counted_and_go_to_http_alone() {
    fails("redirects more than 10 times", weights(|reply| *reply = Reply::to("/x/model.safetensors")));
    for place in ["file:///etc/passwd", "ftp://127.0.0.1/x", "", "http://"] {
        fails("redirects without saying where to", weights(move |reply| *reply = Reply::to(place)));
    }
    fails(
        "redirects without saying where to",
        weights(|reply| {
            *reply = Reply::status("302 Found");
        }),
    );
}

#[test]
fn names_and_sizes_that_cannot_be_used_are_refused() {
    for etag in ["", "\"\"", "\"../../x\"", "\"a/b\"", "\"..\"", "\".x\"", "\"a b\""] {
        fails("its header ETag", weights(move |reply| reply.set("ETag", etag)));
    }
    fails("its header ETag", weights(|reply| reply.drop("ETag")));
    fails("its header ETag", weights(|reply| reply.set("ETag", "a".repeat(300))));
    fails("its header Content-Range", weights(|reply| reply.set("X-Linked-Size", 5)));
    fails(
        "its header Content-Range",
        weights(|reply| {
            reply.drop("Content-Range");
            reply.drop("Content-Length");
        }),
    );
}

#[test]
fn bodies_of_other_bytes_get_no_name() {
    fails(
        "ended after",
        body(|_, reply| {
            reply.drop("Content-Length");
            reply.body.truncate(reply.body.len() / 2);
        }),
    );
    comes(body(|request, reply| {
        if request.times == 1 {
            reply.drop("Content-Length");
            reply.body.truncate(reply.body.len() / 2);
        }
    }));
    fails(
        "sent more than the",
        body(|_, reply| {
            reply.drop("Content-Length");
            reply.body.extend([7; 100]);
        }),
    );
    fails(
        "sent more than the",
        body(|_, reply| {
            reply.drop("Content-Length");
            reply.then = Then::Endless;
        }),
    );
    fails("has the SHA-256", body(|_, reply| *reply.body.last_mut().unwrap() ^= 1));
    comes(body(|request, reply| {
        if request.times == 1 {
            *reply.body.last_mut().unwrap() ^= 1;
        }
    }));
    fails("other bytes of the file", body(|_, reply| reply.set("Content-Range", "bytes 5-11527/11528")));
    fails("other bytes of the file", body(|_, reply| reply.set("Content-Range", "bytes 0-11527/99999")));
    fails("other bytes of the file", body(|_, reply| reply.drop("Content-Range")));
    comes(body(|_, reply| {
        reply.status = "200 OK";
        reply.drop("Content-Range");
        reply.body = file("model.safetensors");
        reply.set("Content-Length", reply.body.len());
    }));
    // Without a hash, a safetensors file's own header is asked.
    let lying = |request: &Request, mut reply: Reply| {
        if request.is_weights() {
            reply.set("ETag", "\"plain\"");
        }
        if request.is_body() {
            reply.body[0] ^= 1;
        }
        reply
    };
    fails("not a complete safetensors file", lying);
}

#[test]
fn servers_that_do_not_answer_are_given_up() {
    fails(
        "timeout",
        body(|_, reply| {
            reply.body.truncate(100);
            reply.then = Then::Hang;
        }),
    );
    fails(
        "less than 16384 bytes",
        body(|_, reply| {
            reply.body.truncate(100);
            reply.then = Then::Drip;
        }),
    );
    let silent = |request: &Request, reply: Reply| {
        if request.is_weights() {
            std::thread::sleep(Duration::from_secs(2));
        }
        reply
    };
    fails("timeout", silent);
}

#[test]
fn invalid_lists_of_files_are_refused() {
    fails("its list of files cannot be read", list("<html>"));
    fails("its list of files cannot be read: no commit", list("{}"));
    fails("its list of files cannot be read: no commit", list(r#"{"sha":"../../x","siblings":[]}"#));
    fails("no weights here", list(r#"{"sha":"abc","siblings":[{"rfilename":"config.json"}]}"#));
    fails(
        "belongs to an adapter (PEFT)",
        list(
            r#"{"sha":"abc","siblings":[{"rfilename":"adapter_config.json"},{"rfilename":"model.safetensors"}]}"#,
        ),
    );
}

#[test]
fn an_answer_that_is_not_http_is_an_error() {
    for bytes in [&b""[..], b"\0\x01\x02 garbage\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"] {
        fails("cannot be downloaded", move |_, mut reply| {
            reply.status = "";
            reply.body = bytes.to_vec();
            reply
        });
    }
    fails("cannot be downloaded", |_, mut reply| {
        reply.headers.push(("X-Long", "x".repeat(1 << 20)));
        reply
    });
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let store = Arc::new(Server::new(|_, reply| reply));
    let place = store.endpoint.clone();
    let hub = Server::new(move |request, mut reply| {
        if request.is_weights() && !request.path.starts_with("/here/") {
            let etag = reply.headers.iter().find(|(name, _)| *name == "ETag").unwrap().1.clone();
            reply = Reply::to(&match request.is_body() {
                true => format!("{place}/there/model.safetensors"),
                false => "/here/model.safetensors".to_owned(),
            });
            reply.set("X-Linked-Etag", etag);
        }
        reply
    });
    let cache = tempfile::tempdir().unwrap();
    resolve(REPO, &hub.options(cache.path()), &()).unwrap();
    let tokens = |server: &Server| {
        server.log.lock().unwrap().iter().map(|request| request.token.clone()).collect::<Vec<_>>()
    };
    assert!(tokens(&hub).len() >= 5 && tokens(&hub).iter().all(|token| token == "Bearer hf_secret"));
    assert_eq!(tokens(&store), [""]);
}

#[test]
fn a_password_in_the_address_is_not_printed() {
    let server = Server::new(|_, _| Reply::status("500 Internal Server Error"));
    let cache = tempfile::tempdir().unwrap();
    let mut options = server.options(cache.path());
    options.endpoint = options.endpoint.replace("http://", "http://me:pa55word@");
    let message = resolve(REPO, &options, &()).unwrap_err().to_string();
    assert!(message.contains("HTTP status 500") && !message.contains("pa55word"), "{message}");
}
