//! Requests to the Hub, one at a time, with their redirects followed here: the token goes to the Hub's own host alone.

use std::time::Duration;

use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{TlsConfig, TlsProvider};
use ureq::{Agent, Body};
use virpack_store::trusted_certificates;

use super::HubOptions;
use super::attempt_error::AttemptError;

/// Redirects that one request follows at most.
const MOST_REDIRECTS: usize = 10;

/// Who asks, for the server's logs.
const USER_AGENT: &str = concat!("virpack/", env!("CARGO_PKG_VERSION"));

/// Asks one Hub.
pub(super) struct Client<'a> {
    options: &'a HubOptions,
    agent: Agent,
}

/// The answer after all redirects, and the headers of the answers before it.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    /// The headers of each answer, the Hub's own first.
    pub(super) headers: Vec<HeaderMap>,
}

impl Answer {
    /// Returns a header, from the first answer that has it.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|headers| headers.get(name)?.to_str().ok())
    }

    /// Returns a header of the last answer.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(options: &'a HubOptions) -> Result<Self, AttemptError> {
        let tls =
            TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(trusted_certificates()?).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .user_agent(USER_AGENT)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // Bytes as they are counted and hashed.
            .accept_encoding("identity")
            .timeout_connect(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_read(Some(options.timeout));
        Ok(Self { options, agent: config.build().into() })
    }

    /// Asks for `path` of the Hub, from byte `from` to `to` if it has them; returns the first answer that
    /// is not a redirect.
    pub(super) fn get(&self, path: &str, range: Option<(u64, Option<u64>)>) -> Result<Answer, AttemptError> {
        let hub: Uri = self.options.endpoint.parse().map_err(|_| AttemptError::Endpoint)?;
        let mut url: Uri =
            format!("{}{path}", self.options.endpoint).parse().map_err(|_| AttemptError::Endpoint)?;
        let mut headers = Vec::new();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.agent.get(&url);
            if let Some(token) = self.options.token.as_ref().filter(|_| is_same_host(&hub, &url)) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            if let Some((from, to)) = range {
                let to = to.map_or_else(String::new, |to| to.to_string());
                request = request.header("Range", format!("bytes={from}-{to}"));
            }
            let response = request.call()?;
            headers.push(response.headers().clone());
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return if (200..300).contains(&status) {
                    Ok(Answer { response, headers })
                } else {
                    Err(AttemptError::Status(status))
                };
            }
            let place = response.headers().get("location").and_then(|place| place.to_str().ok());
            let next = join(&url, place.ok_or(AttemptError::NoLocation)?).ok_or(AttemptError::NoLocation)?;
            match (url.scheme_str(), next.scheme_str()) {
                (_, Some("https")) | (Some("http"), Some("http")) => url = next,
                _ => {
                    return Err(AttemptError::Downgrade { host: next.host().unwrap_or_default().to_owned() });
                }
            }
        }
        Err(AttemptError::Redirects { most: MOST_REDIRECTS })
    }
}

/// Returns whether both are one server: scheme, host and port.
fn is_same_host(hub: &Uri, url: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    hub.scheme_str() == url.scheme_str() && host(hub) == host(url) && port(hub) == port(url)
}

/// Where a `Location` at `base` points to.
fn join(base: &Uri, place: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let whole = if place.starts_with("http://") || place.starts_with("https://") {
        place.to_owned()
    } else if place.starts_with("//") {
        format!("{scheme}:{place}")
    } else if place.starts_with('/') {
        format!("{scheme}://{authority}{place}")
    } else if place.contains("://") || place.is_empty() {
        return None;
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{place}")
    };
    whole.split('#').next()?.parse().ok().filter(|uri: &Uri| uri.host().is_some())
}

/// Returns the bytes of the complete file by `Content-Range: bytes 0-9/100`, and the first one sent.
pub(super) fn content_range(header: &str) -> Option<(u64, u64)> {
    let (range, whole) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.trim().parse().ok()?, whole.trim().parse().ok()?))
}

/// Time in which at least [`LEAST_BYTES`] must come, as a multiple of the time that a read may take: a server that sends a
/// byte a second holds no run for ever.
pub(super) fn patience(timeout: Duration) -> Duration {
    timeout * 4
}

/// Bytes that must come in each [`patience`].
pub(super) const LEAST_BYTES: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_is_its_scheme_host_and_port() {
        let same = |a: &str, b: &str| is_same_host(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://huggingface.co", "https://HUGGINGFACE.co:443/a/b"));
        for other in [
            "http://huggingface.co/",
            "https://cdn.huggingface.co/",
            "https://huggingface.co:8443/",
            "https://x/",
        ] {
            assert!(!same("https://huggingface.co", other), "{other}");
        }
    }

    #[test]
    fn places_are_joined_as_browsers_do() {
        let join =
            |place: &str| join(&"https://a.b/c/d?e".parse().unwrap(), place).map(|uri| uri.to_string());
        for (place, whole) in [
            ("/x?y=1", "https://a.b/x?y=1"),
            ("x", "https://a.b/c/x"),
            ("//e.f/g", "https://e.f/g"),
            ("http://e.f/g#h", "http://e.f/g"),
        ] {
            assert_eq!(join(place).as_deref(), Some(whole));
        }
        for place in ["", "file:///etc/passwd", "https://", "ftp://x/y"] {
            assert_eq!(join(place), None, "{place}");
        }
    }

    #[test]
    fn content_ranges_are_numbers_or_nothing() {
        assert_eq!(content_range("bytes 5-9/100"), Some((5, 100)));
        for header in ["", "bytes */100", "bytes 0-9/*", "bytes 0-9", "items 0-9/10", "bytes -/1"] {
            assert_eq!(content_range(header), None, "{header}");
        }
    }
}
