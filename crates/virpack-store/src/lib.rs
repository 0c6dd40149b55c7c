//! Objects by URL: `s3://`, `gs://`, `az://`, `https://` and `http://`. Their size, and ranges of their bytes.
//!
//! Everything here blocks. Stores are asked through the `object_store` crate, whose requests go through
//! ureq, the program's one HTTP client, so that there is one implementation of TLS; no asynchronous code
//! leaves this crate.
//!
//! Credentials come from the usual variables of the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`). No
//! error and no `Debug` output holds one, nor the query of a URL, which may be a signature.

mod client;
mod error;
mod object;
mod object_reader;
mod requests;
mod state;
mod stores;
mod trust;
mod url;

pub use error::StoreError;
pub use object::Object;
pub use object_reader::ObjectReader;
pub use state::ObjectState;
pub use trust::{NO_CERTIFICATES_HINT, NoCertificates, UNTRUSTED_HINT, trusted_certificates, untrusted};
pub use url::ObjectUrl;
