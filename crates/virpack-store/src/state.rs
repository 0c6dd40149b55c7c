//! What an object is at a moment.

use std::time::SystemTime;

/// What tells two states of an object apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectState {
    /// Its bytes.
    pub bytes: u64,
    /// When it was last written, where the store says so.
    pub modified: Option<SystemTime>,
    /// The store's name of its content.
    pub etag: Option<String>,
}
