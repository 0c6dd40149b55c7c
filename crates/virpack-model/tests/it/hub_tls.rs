//! A Hub behind a certificate authority of an institution's own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tls::{fixture, server};
use virpack_model::hub::{HubOptions, resolve};
use virpack_seq::Hint;

#[path = "../../../virpack-store/tests/support/tls.rs"]
mod tls;

/// What a process of its own, with these variables, ends with.
fn ending(endpoint: &str, variables: &[(&str, &Path)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "hub_tls::child", "--ignored", "--nocapture", "--test-threads=1"]);
    for name in [
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "HTTP_PROXY",
        "http_proxy",
    ] {
        child.env_remove(name);
    }
    child.env("TEST_ENDPOINT", endpoint).env("NO_PROXY", "localhost");
    let output = child.envs(variables.iter().copied()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Not a test: what [`ending`] runs.
#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Ok(endpoint) = std::env::var("TEST_ENDPOINT") else { return };
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions::new(cache.path()).endpoint(endpoint).retries(0).timeout(Duration::from_secs(5));
    let error = resolve("tiny/esm2", &options, &()).unwrap_err();
    println!("{error}\n{}", error.hint().unwrap());
}

#[test]
fn an_authority_that_a_variable_names_is_trusted_and_no_other() {
    let endpoint = server("404 Not Found\r\n");
    // The answer is heard: the certificate was trusted.
    let heard = "has no config.json in tiny/esm2@main";
    let authority = fixture("authority.pem");
    let said = ending(&endpoint, &[("SSL_CERT_FILE", &authority)]);
    assert!(said.contains(heard), "{said}");
    let said = ending(&endpoint, &[]);
    assert!(said.contains("its certificate is not trusted") && said.contains("set SSL_CERT_FILE"), "{said}");
    assert!(!said.contains("run again"), "{said}");
    let said = ending(&endpoint, &[("SSL_CERT_FILE", Path::new("/no/such.pem"))]);
    assert!(said.contains("SSL_CERT_FILE gives no certificate to trust"), "{said}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let said = ending(&endpoint, &[("SSL_CERT_FILE", empty.path())]);
    assert!(said.contains("SSL_CERT_FILE gives no certificate to trust"), "{said}");
}

#[test]
fn a_redirect_from_https_to_http_is_refused() {
    let endpoint = server("302 Found\r\nLocation: http://localhost:9/x\r\n");
    let said = ending(&endpoint, &[("SSL_CERT_FILE", &fixture("authority.pem"))]);
    assert!(said.contains("redirects from https to localhost without it, which is refused"), "{said}");
}

#[test]
fn a_proxy_is_asked_unless_no_proxy_names_the_host() {
    let endpoint = server("404 Not Found\r\n");
    let authority = fixture("authority.pem");
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        // It may come in pieces.
        let (mut request, mut piece) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&piece[..count]);
        }
        let _sent = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        String::from_utf8_lossy(&request).into_owned()
    });
    let variables = [("SSL_CERT_FILE", &*authority), ("HTTPS_PROXY", Path::new(&address))];
    let said = ending(&endpoint, &variables);
    assert!(said.contains("has no config.json"), "NO_PROXY names localhost: {said}");
    let said = ending(&endpoint, &[variables[0], variables[1], ("NO_PROXY", Path::new("elsewhere"))]);
    assert!(said.contains("cannot be downloaded"), "{said}");
    assert!(asked.join().unwrap().starts_with("CONNECT localhost:"));
}
