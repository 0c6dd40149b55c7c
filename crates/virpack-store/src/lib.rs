//! Reads objects by URL: `s3://`, `gs://`, `az://`, `https://` and `http://`. It gives their size, and
//! ranges of their bytes. It writes objects of stores, which appear whole or not at all.
//!
//! Everything here blocks. The `object_store` crate makes the requests to stores through ureq, the
//! program's only HTTP client, so that there is one implementation of TLS. No asynchronous code leaves this
//! crate.
//!
//! Credentials come from the usual environment variables (`AWS_*`, `GOOGLE_*`, `AZURE_*`). No error and no
//! `Debug` output contains one, nor the query of a URL, which may be a signature.

mod client;
mod error;
mod key;
mod object;
mod object_reader;
mod requests;
mod state;
mod stores;
mod trust;
mod url;
mod written;

pub use error::StoreError;
pub use object::Object;
pub use object_reader::ObjectReader;
pub use state::ObjectState;
pub use trust::{NO_CERTIFICATES_HINT, NoCertificates, UNTRUSTED_HINT, trusted_certificates, untrusted};
pub use url::ObjectUrl;
pub use written::{WrittenObject, names_below};
