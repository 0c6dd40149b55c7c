//! Changes of an input since the run began.

use std::borrow::Cow;
use std::fmt;

use super::Hint;

/// A change of an input since the run began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Its size in bytes is different.
    Size {
        /// The earlier size.
        from: u64,
        /// The size now.
        to: u64,
    },
    /// Its size in bytes is the same, but its modification time is different.
    Written {
        /// Its size.
        bytes: u64,
    },
    /// Its name now belongs to another file.
    Replaced {
        /// The size of the earlier file, in bytes.
        from: u64,
        /// The size of the file that has its name now, in bytes.
        to: u64,
    },
    /// It does not exist any more.
    Gone,
    /// The number of bytes read differs from its size.
    Read {
        /// Bytes read.
        read: u64,
        /// Its size.
        bytes: u64,
    },
    /// The bytes read are not those that were hashed.
    Content {
        /// Size and SHA-256 of what was hashed.
        hashed: String,
        /// Size and SHA-256 of what was read.
        read: String,
    },
}

impl Hint for Change {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Change::Replaced { .. } | Change::Gone => {
                "run again with the file in its place, and leave it there until the run ends"
            }
            _ => "wait until no program writes to the file, then run again",
        }))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Size { from, to } => write!(f, "its size went from {from} to {to} bytes"),
            Change::Written { bytes } => {
                write!(
                    f,
                    "it was written to (its modification time moved; its size is {bytes} bytes as before)"
                )
            }
            Change::Replaced { from, to } => {
                write!(f, "another file has its name (size from {from} to {to} bytes)")
            }
            Change::Gone => f.write_str("it was removed or renamed"),
            Change::Read { read, bytes } => {
                write!(f, "{read} bytes were read, and its size is {bytes} bytes")
            }
            Change::Content { hashed, read } => write!(f, "it had {hashed}; what was read has {read}"),
        }
    }
}

impl std::error::Error for Change {}
