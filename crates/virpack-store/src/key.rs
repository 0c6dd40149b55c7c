//! A key in the bucket of a store, and the wait for the store's answers.

use std::future::Future;
use std::sync::Arc;

use object_store::path::Path;

use crate::error::StoreError;
use crate::stores::{self, Store};
use crate::url::{ObjectUrl, Scheme};

/// A key in a bucket, with the store that has it.
#[derive(Clone, Debug)]
pub(crate) struct StoreKey {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) key: Path,
    scheme: Scheme,
    bucket: String,
}

impl StoreKey {
    /// Opens the store of a URL. A web server is not a store.
    pub(crate) fn of(url: &ObjectUrl) -> Result<StoreKey, StoreError> {
        let (bucket, key) = url.bucket_and_key().ok_or(StoreError::Url { expected: expected(url) })?;
        let parsed = Path::parse(key).map_err(|_| StoreError::Key)?;
        // The path drops slashes at the ends, which are part of a key.
        let key = if parsed.as_ref() == key { parsed } else { return Err(StoreError::Key) };
        StoreKey::open(url, bucket, key)
    }

    /// Opens the store of the URL of a folder: the beginning of keys, without it and a slash the bucket.
    pub(crate) fn of_folder(url: &ObjectUrl) -> Result<StoreKey, StoreError> {
        let (bucket, key) = url.bucket_and_folder().ok_or(StoreError::Url { expected: expected(url) })?;
        let key = Path::parse(key).map_err(|_| StoreError::Key)?;
        StoreKey::open(url, bucket, key)
    }

    fn open(url: &ObjectUrl, bucket: &str, key: Path) -> Result<StoreKey, StoreError> {
        let (scheme, store) = (url.scheme(), stores::open(url.scheme(), bucket)?);
        Ok(StoreKey { store, key, scheme, bucket: bucket.to_owned() })
    }

    /// Returns a key in a store that a test has opened.
    #[cfg(test)]
    pub(crate) fn for_test(store: Arc<dyn Store>, key: &str) -> StoreKey {
        StoreKey { store, key: key.into(), scheme: Scheme::S3, bucket: "bucket".to_owned() }
    }

    /// Waits for an answer of the store.
    pub(crate) fn wait<T>(
        &self,
        answer: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        wait(answer)?.map_err(|error| self.failed(&error))
    }

    /// Converts an error of the store.
    pub(crate) fn failed(&self, error: &object_store::Error) -> StoreError {
        stores::failed(error, self.scheme, &self.bucket)
    }
}

/// Returns the form of a complete URL.
fn expected(url: &ObjectUrl) -> &'static str {
    match url.scheme() {
        Scheme::Http => "https://HOST/PATH",
        Scheme::S3 => "s3://BUCKET/KEY",
        Scheme::Gcs => "gs://BUCKET/KEY",
        Scheme::Azure => "az://CONTAINER/KEY",
    }
}

/// Runs what a store answers on a runtime of its own, which blocks this thread.
pub(crate) fn wait<T>(answer: impl Future<Output = T>) -> Result<T, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| StoreError::Other { reason: error.to_string() })?;
    Ok(runtime.block_on(answer))
}
