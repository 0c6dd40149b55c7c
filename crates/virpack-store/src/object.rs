//! An object: its state, and ranges of its bytes.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use crate::error::StoreError;
use crate::object_reader::ObjectReader;
use crate::state::ObjectState;
use crate::url::{ObjectUrl, Scheme};
use crate::{requests, stores};

/// An object that existed when it was opened.
#[derive(Clone, Debug)]
pub struct Object {
    place: Place,
    state: ObjectState,
}

/// The location of an object.
#[derive(Clone, Debug)]
enum Place {
    Store { store: Arc<dyn ObjectStore>, key: Path, scheme: Scheme, bucket: String },
    Http(ObjectUrl),
}

impl Object {
    /// Opens an object and reads its state.
    ///
    /// # Errors
    ///
    /// If the object cannot be read.
    pub fn open(url: &ObjectUrl) -> Result<Object, StoreError> {
        let place = Place::of(url)?;
        let state = place.state()?;
        Ok(Object { place, state })
    }

    /// Returns the state in which it was opened.
    #[must_use]
    pub fn state(&self) -> &ObjectState {
        &self.state
    }

    /// Returns its state now.
    ///
    /// # Errors
    ///
    /// Those of [`Object::open`].
    pub fn state_now(&self) -> Result<ObjectState, StoreError> {
        self.place.state()
    }

    /// Reads a range of its bytes, a few megabytes ahead.
    ///
    /// # Errors
    ///
    /// If a thread does not start. The reader returns [`StoreError`]s in `io::Error`s; one is
    /// [`StoreError::Changed`] if the object has changed since it was opened.
    pub fn reader(&self, bytes: Range<u64>) -> std::io::Result<ObjectReader> {
        let object = self.clone();
        ObjectReader::start(bytes, move |piece| object.range(piece))
    }

    /// Returns a range of its bytes.
    pub(crate) fn range(&self, bytes: Range<u64>) -> Result<Bytes, StoreError> {
        match &self.place {
            Place::Http(url) => requests::range(url, bytes, &self.state),
            Place::Store { store, key, .. } => {
                let wanted = bytes.end - bytes.start;
                let options = GetOptions {
                    range: Some(GetRange::Bounded(bytes)),
                    if_match: self.state.etag.clone(),
                    ..GetOptions::default()
                };
                let get = async { store.get_opts(key, options).await?.bytes().await };
                let bytes = self.place.wait(get)?;
                match bytes.len() as u64 == wanted {
                    true => Ok(bytes),
                    false => Err(StoreError::Changed),
                }
            }
        }
    }
}

impl Place {
    fn of(url: &ObjectUrl) -> Result<Place, StoreError> {
        let expected = match url.scheme() {
            Scheme::Http => return Ok(Place::Http(url.clone())),
            Scheme::S3 => "s3://BUCKET/KEY",
            Scheme::Gcs => "gs://BUCKET/KEY",
            Scheme::Azure => "az://CONTAINER/KEY",
        };
        let (bucket, key) = url.bucket_and_key().ok_or(StoreError::Url { expected })?;
        let parsed = Path::parse(key).map_err(|_| StoreError::Key)?;
        // The path drops slashes at the ends, which are part of a key.
        let key = if parsed.as_ref() == key { parsed } else { return Err(StoreError::Key) };
        let (scheme, store) = (url.scheme(), stores::open(url.scheme(), bucket)?);
        Ok(Place::Store { store, key, scheme, bucket: bucket.to_owned() })
    }

    fn state(&self) -> Result<ObjectState, StoreError> {
        match self {
            Place::Http(url) => requests::state(url),
            Place::Store { store, key, .. } => match self.wait(store.head(key)) {
                Ok(head) => Ok(ObjectState {
                    bytes: head.size,
                    modified: Some(SystemTime::from(head.last_modified)),
                    etag: head.e_tag,
                }),
                // The answer to `HEAD` has no body that distinguishes a missing bucket from a missing
                // object.
                Err(StoreError::NoObject) => {
                    Err(self.wait(store.get_range(key, 0..1)).err().unwrap_or(StoreError::NoObject))
                }
                Err(error) => Err(error),
            },
        }
    }

    /// Waits for an answer of the store.
    fn wait<T>(&self, answer: impl Future<Output = object_store::Result<T>>) -> Result<T, StoreError> {
        let Place::Store { scheme, bucket, .. } = self else {
            unreachable!("a web server is not waited for so")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| StoreError::Other { reason: error.to_string() })?;
        runtime.block_on(answer).map_err(|error| stores::failed(&error, *scheme, bucket))
    }
}
