//! Why an object cannot be read.

use std::borrow::Cow;
use std::io;

use crate::trust::{NO_CERTIFICATES_HINT, NoCertificates, UNTRUSTED_HINT};
use crate::url::Scheme;

/// Why an object cannot be read. It is shown next to the URL, which it does not repeat.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A URL without a bucket, a key or a host.
    #[error("the URL is not complete")]
    Url {
        /// The form of a complete URL.
        expected: &'static str,
    },
    /// A key with an empty part: stores allow it, but virpack cannot request it.
    #[error("the key begins or ends with a slash, or has two in a row")]
    Key,
    /// A bucket or container that does not exist.
    #[error("there is no bucket or container {bucket}")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// An object that does not exist.
    #[error("there is no such object")]
    NoObject,
    /// Credentials that the store does not accept, or that are missing.
    #[error("access is refused: {reason}")]
    Refused {
        /// The message of the store.
        reason: String,
        /// The variables that hold credentials.
        variables: &'static str,
    },
    /// A variable that should hold the address of a server, and does not.
    #[error("{variable} is {value:?}, which is not the address of a server")]
    Endpoint {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// A server that does not answer.
    #[error("no answer: {reason}")]
    Network {
        /// The problem of the last attempt.
        reason: String,
    },
    /// A server whose certificate no trusted authority signed.
    #[error("the server's certificate is not trusted: {reason}")]
    Certificate {
        /// The result of the check.
        reason: String,
    },
    /// A variable that does not name a certificate.
    #[error(transparent)]
    NoCertificates(NoCertificates),
    /// An object that has changed since it was opened.
    #[error("the object has changed while it was read")]
    Changed,
    /// A server that returns only complete objects.
    #[error("the server sends no ranges of bytes")]
    NoRanges,
    /// Another answer of a store.
    #[error("{reason}")]
    Other {
        /// The message of the store.
        reason: String,
    },
}

impl StoreError {
    /// Returns what to do about it.
    ///
    /// ```
    /// use virpack_store::StoreError;
    ///
    /// let refused = StoreError::Refused { reason: "403".to_owned(), variables: "AWS_ACCESS_KEY_ID" };
    /// assert!(refused.hint().unwrap().contains("AWS_ACCESS_KEY_ID"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            StoreError::Url { expected } => format!("write it as {expected}").into(),
            StoreError::Key => "download the object, and name the file".into(),
            StoreError::NoBucket { .. } => {
                "check the name, and that the store is the one meant (endpoint, region)".into()
            }
            StoreError::NoObject => "check the name: letters count in their case".into(),
            StoreError::Refused { variables, .. } => format!("check {variables}").into(),
            StoreError::Endpoint { variable, .. } => {
                format!("write it with its scheme, {variable}=http://HOST:PORT or https://HOST").into()
            }
            StoreError::Network { .. } => {
                "check the network, the host's name and, with a store of your own, its endpoint".into()
            }
            StoreError::Certificate { .. } => UNTRUSTED_HINT.into(),
            StoreError::NoCertificates(_) => NO_CERTIFICATES_HINT.into(),
            StoreError::Changed => "run again once nothing writes it any more".into(),
            StoreError::NoRanges => "download it, and name the file".into(),
            StoreError::Other { .. } => return None,
        })
    }

    /// Returns whether another attempt may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, StoreError::Network { .. })
    }

    /// Returns the error as an `io::Error` of a reader.
    #[must_use]
    pub fn into_io(self) -> io::Error {
        let kind = match self {
            StoreError::NoBucket { .. } | StoreError::NoObject => io::ErrorKind::NotFound,
            StoreError::Refused { .. } => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    /// Returns the error in an `io::Error` of a reader.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use virpack_store::StoreError;
    ///
    /// let error = StoreError::NoObject.into_io();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// assert!(matches!(StoreError::of_io(&error), Some(StoreError::NoObject)));
    /// ```
    #[must_use]
    pub fn of_io(error: &io::Error) -> Option<&StoreError> {
        error.get_ref()?.downcast_ref()
    }

    /// Returns the error for an answer with this status and body, from a store of this kind.
    pub(crate) fn of_answer(status: u16, body: &str, scheme: Scheme, bucket: &str) -> StoreError {
        let said =
            said(body).map_or_else(|| format!("status {status}"), |said| format!("{said} (status {status})"));
        let names_bucket = ["NoSuchBucket", "ContainerNotFound"].iter().any(|code| body.contains(code));
        match status {
            404 if names_bucket && scheme != Scheme::Http => {
                StoreError::NoBucket { bucket: bucket.to_owned() }
            }
            404 | 410 => StoreError::NoObject,
            401 | 403 | 407 => StoreError::Refused { reason: said, variables: variables(scheme) },
            412 => StoreError::Changed,
            _ => StoreError::Other { reason: format!("the server says: {said}") },
        }
    }
}

/// Returns the variables that hold the credentials of a store.
pub(crate) fn variables(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::S3 => {
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION; \
             AWS_SKIP_SIGNATURE=true reads a public bucket without them, AWS_ENDPOINT_URL names a store of \
             your own"
        }
        Scheme::Gcs => "GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS, the path of a key's JSON",
        Scheme::Azure => {
            "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN"
        }
        Scheme::Http => "that the link may be read without a login, and has not expired",
    }
}

/// Returns the sentence in an answer of a store, on one line; None if there is none.
fn said(body: &str) -> Option<String> {
    let within = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0)
    };
    let message =
        within("Message").filter(|message| !message.trim().is_empty()).or_else(|| within("Code"))?;
    let line: String = message.lines().next()?.chars().filter(|c| !c.is_control()).take(200).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_one_line() {
        let of = |status, body: &str| StoreError::of_answer(status, body, Scheme::S3, "b").to_string();
        let denied =
            "<?xml?><Error><Code>InvalidAccessKeyId</Code><Message>No such key.\nMore</Message></Error>";
        assert_eq!(of(403, denied), "access is refused: No such key. (status 403)");
        assert_eq!(of(403, ""), "access is refused: status 403");
        assert_eq!(of(404, "<Code>NoSuchBucket</Code>"), "there is no bucket or container b");
        assert_eq!(of(404, "<html>"), "there is no such object");
        assert_eq!(of(400, "<Code>Odd</Code>"), "the server says: Odd (status 400)");
    }
}
