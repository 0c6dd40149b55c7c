//! The HTTP client, ureq, which also makes the requests of `object_store`.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use ureq::Agent;
use ureq::http::{Request, Uri};
use ureq::tls::{TlsConfig, TlsProvider};

use crate::error::StoreError;
use crate::trust::{NoCertificates, trusted_certificates};

/// The name of the client in the server's logs.
const USER_AGENT: &str = concat!("virpack/", env!("CARGO_PKG_VERSION"));

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request's body may take: a piece of 16 MiB at 55 kB/s.
const SENDING: Duration = Duration::from_secs(300);

/// The most bytes of an answer; a range has fewer.
const LARGEST_ANSWER: u64 = 64 << 20;

/// The addresses from which a cloud machine gets its credentials. Elsewhere they do not answer.
const METADATA: [&str; 3] = ["169.254.169.254", "metadata.google.internal", "metadata"];

/// Returns the client of this process, which keeps connections open.
pub(crate) fn agent() -> Result<&'static Agent, StoreError> {
    static AGENT: OnceLock<Result<Agent, NoCertificates>> = OnceLock::new();
    let agent = AGENT.get_or_init(|| {
        let certificates = trusted_certificates()?;
        let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(certificates).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .user_agent(USER_AGENT)
            .http_status_as_error(false)
            // Bytes without a content encoding, because they are counted and hashed.
            .accept_encoding("identity")
            .timeout_connect(Some(TIMEOUT))
            .timeout_send_body(Some(SENDING))
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_per_read(Some(TIMEOUT));
        Ok(config.build().into())
    });
    agent.as_ref().map_err(|error| StoreError::NoCertificates(error.clone()))
}

/// Makes clients for `object_store`.
#[derive(Debug)]
pub(crate) struct Connector(pub(crate) &'static Agent);

#[derive(Debug)]
struct Client(&'static Agent);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Client(self.0)))
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let is_range = parts.headers.contains_key("range");
        let body = body.collect().await?.to_bytes();
        let is_metadata = is_metadata(&parts.uri);
        let connect = if is_metadata { Duration::from_secs(2) } else { TIMEOUT };
        // It blocks: nothing else runs on the runtime of one request. `object_store` decides about
        // redirects, because a session's token must not go to another host.
        macro_rules! send {
            ($body:expr) => {{
                let request = self.0.configure_request(Request::from_parts(parts, $body));
                let request = request.max_redirects(0).max_redirects_will_error(false);
                self.0.run(request.timeout_connect(Some(connect)).build())
            }};
        }
        let sent = if body.is_empty() { send!(()) } else { send!(&body[..]) };
        let failed = |error| failed(error, is_metadata);
        let (parts, mut body) = sent.map_err(failed)?.into_parts();
        // The machine has no role, or something between refuses the question.
        if is_metadata && parts.status.is_client_error() {
            return Err(failed(ureq::Error::StatusCode(parts.status.as_u16())));
        }
        // An answer with the complete object instead of a range is refused by its status, and not read.
        let is_whole = is_range && parts.status == 200;
        let bytes = match is_whole {
            true => Vec::new(),
            false => body.with_config().limit(LARGEST_ANSWER).read_to_vec().map_err(failed)?,
        };
        let body = Full::new(Bytes::from(bytes)).map_err(|never| match never {});
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// Returns whether a machine is asked for its own credentials. The variable is AWS's, for another address.
fn is_metadata(uri: &Uri) -> bool {
    let other = std::env::var("AWS_METADATA_ENDPOINT").ok().and_then(|own| own.parse::<Uri>().ok());
    uri.host().is_some_and(|host| METADATA.contains(&host))
        || other.is_some_and(|own| own.authority().is_some() && own.authority() == uri.authority())
}

/// A machine that does not give credentials of its own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoRole(ureq::Error);

fn failed(error: ureq::Error, is_metadata: bool) -> HttpError {
    let kind = match &error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    if is_metadata { HttpError::new(kind, NoRole(error)) } else { HttpError::new(kind, error) }
}
