//! The state of an object at one time.

use std::time::SystemTime;

/// What distinguishes two states of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectState {
    /// Its size in bytes.
    pub bytes: u64,
    /// The time of its last change, if the store reports it.
    pub modified: Option<SystemTime>,
    /// The store's identifier of its content.
    pub etag: Option<String>,
}
