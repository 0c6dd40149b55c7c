//! An object: its state, and ranges of its bytes.

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use crate::error::StoreError;
use crate::key::StoreKey;
use crate::object_reader::ObjectReader;
use crate::requests;
use crate::state::ObjectState;
use crate::url::{ObjectUrl, Scheme};

/// An object that existed when it was opened.
#[derive(Clone, Debug)]
pub struct Object {
    place: Place,
    state: ObjectState,
}

/// The location of an object.
#[derive(Clone, Debug)]
enum Place {
    Store(StoreKey),
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
    /// Returns the errors of [`Object::open`].
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
            Place::Store(at) => {
                let wanted = bytes.end - bytes.start;
                let options = GetOptions {
                    range: Some(GetRange::Bounded(bytes)),
                    if_match: self.state.etag.clone(),
                    ..GetOptions::default()
                };
                let get = async { at.store.get_opts(&at.key, options).await?.bytes().await };
                let bytes = at.wait(get)?;
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
        match url.scheme() {
            Scheme::Http => Ok(Place::Http(url.clone())),
            _ => StoreKey::of(url).map(Place::Store),
        }
    }

    fn state(&self) -> Result<ObjectState, StoreError> {
        let at = match self {
            Place::Http(url) => return requests::state(url),
            Place::Store(at) => at,
        };
        match at.wait(at.store.head(&at.key)) {
            Ok(head) => Ok(ObjectState {
                bytes: head.size,
                modified: Some(SystemTime::from(head.last_modified)),
                etag: head.e_tag,
            }),
            // The answer to `HEAD` has no body that distinguishes a missing bucket from a missing object.
            Err(StoreError::NoObject) => {
                Err(at.wait(at.store.get_range(&at.key, 0..1)).err().unwrap_or(StoreError::NoObject))
            }
            Err(error) => Err(error),
        }
    }
}
