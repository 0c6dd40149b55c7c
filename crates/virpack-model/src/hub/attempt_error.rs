//! What one try of a download can meet.

use std::io;

use virpack_store::{NoCertificates, untrusted};

/// What one try of a download can meet.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("{0}")]
    Network(ureq::Error),
    #[error("{0}")]
    Disk(io::Error),
    #[error("{0}")]
    Certificate(String),
    #[error(transparent)]
    NoCertificates(#[from] NoCertificates),
    #[error("the address of the Hub cannot be used")]
    Endpoint,
    #[error("it redirects more than {most} times")]
    Redirects { most: usize },
    #[error("it redirects without saying where to")]
    NoLocation,
    #[error("it redirects from https to {host} without it, which is refused")]
    Downgrade { host: String },
    #[error("its header {0} is missing or cannot be used")]
    Header(&'static str),
    #[error("its list of files cannot be read: {0}")]
    List(String),
    #[error("it sent other bytes of the file than those asked for")]
    Range,
    #[error("the connection ended after {found} of {size} bytes")]
    Ended { found: u64, size: u64 },
    #[error("it sent more than the {size} bytes that it promised")]
    TooLong { size: u64 },
    #[error("it sent less than {least} bytes in {seconds} s")]
    Slow { least: u64, seconds: u64 },
    #[error("the downloaded file has the SHA-256 {found}, and the Hub announced {promised}")]
    Hash { found: String, promised: String },
    #[error("the downloaded file is not a complete safetensors file: {0}")]
    Damaged(String),
}

impl AttemptError {
    /// Returns whether the same request may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            AttemptError::Status(code) => *code >= 500 || *code == 429 || *code == 408 || *code == 416,
            AttemptError::Disk(error) => !matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::AlreadyExists
            ),
            AttemptError::Network(error) => {
                !matches!(error, ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl)
            }
            AttemptError::Range
            | AttemptError::Ended { .. }
            | AttemptError::TooLong { .. }
            | AttemptError::Slow { .. }
            | AttemptError::Hash { .. }
            | AttemptError::Damaged(_) => true,
            _ => false,
        }
    }
}

impl From<io::Error> for AttemptError {
    fn from(error: io::Error) -> Self {
        AttemptError::Disk(error)
    }
}

impl From<ureq::Error> for AttemptError {
    fn from(error: ureq::Error) -> Self {
        untrusted(&error).map_or(AttemptError::Network(error), AttemptError::Certificate)
    }
}
