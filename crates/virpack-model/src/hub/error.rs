//! Errors between a model's name and its files.

use std::borrow::Cow;
use std::path::PathBuf;

use virpack_seq::{Hint, shown_path};
use virpack_store::{NO_CERTIFICATES_HINT, NoCertificates, UNTRUSTED_HINT};

use crate::mini;
use crate::published::{NUCLEOTIDE, PUBLISHED, short_name};

/// Errors between a model's name and its files, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// What is neither a path that exists nor a name of the Hub.
    #[error(
        "no model {model:?}: no file or directory {}, and no model has that name",
        shown_path(looked_for)
    )]
    ModelNotFound {
        /// What was asked for.
        model: String,
        /// The path that was tried.
        looked_for: PathBuf,
    },
    /// A model that is not in the cache while the network is switched off, or not asked.
    #[error(
        "{repository} is neither a local path nor in the cache {}{}", shown_path(cache), if *offline {
            ", and HF_HUB_OFFLINE forbids downloads"
        } else {
            ""
        }
    )]
    NotCached {
        /// The repository.
        repository: String,
        /// The cache's directory.
        cache: PathBuf,
        /// Whether the network was switched off, rather than not asked.
        offline: bool,
    },
    /// A model that is truncated or damaged in the cache while the network is switched off.
    #[error("{problem}, and HF_HUB_OFFLINE forbids downloads")]
    DamagedOffline {
        /// The repository.
        repository: String,
        /// The file, and what is wrong with it.
        problem: String,
    },
    /// A repository, a revision or a file of it that the Hub does not have.
    #[error("{endpoint} has no {file} in {repository}@{revision}")]
    NoSuchRepository {
        /// The repository.
        repository: String,
        /// Its branch, tag or commit.
        revision: String,
        /// The file.
        file: String,
        /// The Hub that was asked.
        endpoint: String,
    },
    /// A repository that the Hub shows only to some, or does not have.
    #[error("{endpoint} gives no access to {repository}")]
    NoAccess {
        /// The repository.
        repository: String,
        /// The Hub that was asked.
        endpoint: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// A server whose certificate no trusted authority signed.
    #[error("{endpoint}: its certificate is not trusted: {reason}")]
    Certificate {
        /// The Hub that was asked.
        endpoint: String,
        /// The message of its check.
        reason: String,
    },
    /// `SSL_CERT_FILE` or `SSL_CERT_DIR` without a certificate.
    #[error(transparent)]
    NoCertificates(NoCertificates),
    /// A download that the network or the disk broke off.
    #[error(
        "{repository} is not a local path, and its {file} cannot be downloaded from {endpoint}: {source}"
    )]
    Download {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// The Hub that was asked.
        endpoint: String,
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Hint for HubError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            HubError::ModelNotFound { .. } => {
                let names = published_names();
                format!("give a directory, ORG/REPO on the Hugging Face Hub, or one of {names}").into()
            }
            HubError::NotCached { offline: true, .. } => {
                "unset HF_HUB_OFFLINE, or name a local directory with its files as the model".into()
            }
            HubError::NotCached { offline: false, .. } => {
                "check the name; a run downloads a model when it first needs it".into()
            }
            HubError::DamagedOffline { repository, .. } => format!(
                "unset HF_HUB_OFFLINE to download {repository} again, or name a local directory with its files as the model"
            )
            .into(),
            HubError::NoSuchRepository { .. } => {
                format!("there is no such local path either; published models are {}", published_names()).into()
            }
            HubError::NoAccess { with_token: true, .. } => {
                "check the name (no such local path either), and that your HF_TOKEN may read it".into()
            }
            HubError::NoAccess { with_token: false, .. } => {
                "check the name (no such local path either); for a private or gated repository set HF_TOKEN".into()
            }
            HubError::Certificate { .. } => UNTRUSTED_HINT.into(),
            HubError::NoCertificates(_) => NO_CERTIFICATES_HINT.into(),
            HubError::Download { .. } => {
                "run again to resume where it broke off, or fetch the files elsewhere and name their directory as the model"
                    .into()
            }
        })
    }
}

/// Returns the short names of all models.
fn published_names() -> String {
    let proteins = PUBLISHED.iter().map(|model| model.size().to_owned());
    let nucleotides = NUCLEOTIDE.into_iter().filter_map(short_name);
    proteins.chain(nucleotides).chain([mini::NAME.to_owned()]).collect::<Vec<_>>().join(", ")
}
