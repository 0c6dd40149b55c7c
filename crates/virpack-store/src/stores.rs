//! Opens the stores of `object_store`, with their credentials.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::ClientOptions;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, Error, ObjectStore, RetryConfig};
use ureq::http::Uri;

use crate::client::{Connector, NoRole, agent};
use crate::error::{StoreError, variables};
use crate::trust::untrusted;
use crate::url::Scheme;

/// A store that is read and written.
pub(crate) trait Store: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Store for T {}

/// Returns the store of a bucket, configured by environment variables.
pub(crate) fn open(scheme: Scheme, bucket: &str) -> Result<Arc<dyn Store>, StoreError> {
    let connector = Connector(agent()?);
    let options = ClientOptions::new().with_allow_http(true);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(8),
            base: 2.0,
        },
        max_retries: 5,
        retry_timeout: Duration::from_secs(60),
    };
    let store: Result<Arc<dyn Store>, Error> = match scheme {
        Scheme::S3 => {
            check_endpoints(|name| std::env::var(name).ok())?;
            let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_client_options(options);
            builder.with_retry(retry).with_http_connector(connector).build().map(|store| Arc::new(store) as _)
        }
        Scheme::Gcs => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            let builder = builder.with_client_options(options).with_retry(retry);
            builder.with_http_connector(connector).build().map(|store| Arc::new(store) as _)
        }
        Scheme::Azure => {
            let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
            let builder = builder.with_client_options(options).with_retry(retry);
            builder.with_http_connector(connector).build().map(|store| Arc::new(store) as _)
        }
        Scheme::Http => return Err(StoreError::Url { expected: "https://HOST/PATH" }),
    };
    store.map_err(|error| StoreError::Refused { reason: first_line(&error), variables: variables(scheme) })
}

/// The variables with the address of a server, which `object_store` reads.
const ENDPOINTS: [&str; 4] =
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_METADATA_ENDPOINT"];

/// Refuses an address that `object_store` would panic at.
fn check_endpoints(variable: impl Fn(&str) -> Option<String>) -> Result<(), StoreError> {
    for name in ENDPOINTS {
        let Some(value) = variable(name) else { continue };
        let is_address = value.parse::<Uri>().is_ok_and(|uri| is_address(&uri));
        if !is_address {
            return Err(StoreError::Endpoint { variable: name, value });
        }
    }
    Ok(())
}

/// Returns whether a URL names a server that can be asked. `Uri` ignores a port that is too large.
fn is_address(uri: &Uri) -> bool {
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let port = authority.as_str().rsplit('@').next().and_then(|own| own.strip_prefix(authority.host()));
    let is_port =
        |port: &str| port.is_empty() || port.strip_prefix(':').is_some_and(|n| n.parse::<u16>().is_ok());
    !authority.host().is_empty() && port.is_some_and(is_port)
}

/// Converts an error of a store.
pub(crate) fn failed(error: &Error, scheme: Scheme, bucket: &str) -> StoreError {
    let reason = first_line(error);
    match error {
        Error::NotFound { .. } if is_of_bucket(error) => StoreError::NoBucket { bucket: bucket.to_owned() },
        Error::NotFound { .. } => StoreError::NoObject,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            StoreError::Refused { reason, variables: variables(scheme) }
        }
        Error::Precondition { .. } | Error::NotModified { .. } => StoreError::Changed,
        _ if reason.contains("non-partial response") => StoreError::NoRanges,
        // Without credentials the machine is asked for its own, which most machines lack.
        _ if causes(error).any(|cause| cause.is::<NoRole>()) => {
            let reason = format!("no credentials are set, and this machine gives none of its own: {reason}");
            StoreError::Refused { reason, variables: variables(scheme) }
        }
        _ if is_network(error) => {
            let said = causes(error).find_map(|cause| untrusted(cause.downcast_ref()?));
            said.map_or(StoreError::Network { reason }, |reason| StoreError::Certificate { reason })
        }
        _ => StoreError::Other { reason },
    }
}

/// Returns whether a store refuses a request because it has no conditions: status 501.
pub(crate) fn lacks_conditions(error: &Error) -> bool {
    matches!(error, Error::NotImplemented { .. })
        || says(error, &["501 Not Implemented", "<Code>NotImplemented</Code>"])
}

fn is_network(error: &Error) -> bool {
    causes(error).any(|cause| cause.is::<ureq::Error>())
}

fn is_of_bucket(error: &Error) -> bool {
    says(error, &["NoSuchBucket", "ContainerNotFound", "bucket does not exist"])
}

/// Returns whether the causes of an error say one of `words`.
fn says(error: &Error, words: &[&str]) -> bool {
    causes(error).map(ToString::to_string).any(|text| words.iter().any(|word| text.contains(word)))
}

fn causes<'a>(error: &'a Error) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
}

/// Returns the innermost cause, which does not repeat the URL, on one line; the store's own sentence if it
/// has one.
fn first_line(error: &Error) -> String {
    let all: Vec<_> = causes(error).map(ToString::to_string).collect();
    let sentence = all.iter().find_map(|text| {
        let (_, rest) = text.split_once("<Message>")?;
        Some(rest.split_once('<')?.0.to_owned())
    });
    let text = sentence.or_else(|| all.last().cloned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        let check = |value: &str| check_endpoints(|name| (name == ENDPOINTS[0]).then(|| value.to_owned()));
        for good in
            ["http://localhost:9000", "https://s3.example.org/path", "http://[::1]:9000", "http://10.0.0.1"]
        {
            check(good).unwrap();
        }
        for bad in [
            "localhost:9000",
            "nonsense",
            "",
            "http://",
            "http://[::1",
            "http://a b",
            "http://127.0.0.1:99999",
            "ftp://a",
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.to_string().starts_with("AWS_ENDPOINT_URL is \""), "{bad}: {error}");
            assert!(error.hint().unwrap().contains("AWS_ENDPOINT_URL=http://HOST:PORT"));
        }
    }
}
