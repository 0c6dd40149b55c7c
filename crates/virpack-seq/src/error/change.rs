//! What has happened to an input since the run began.

use std::borrow::Cow;
use std::fmt;

use super::Hint;

/// What has happened to an input since the run began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It has another size, in bytes.
    Size {
        /// What it was.
        from: u64,
        /// What it is.
        to: u64,
    },
    /// It has its size, in bytes, and another modification time.
    Written {
        /// Its size.
        bytes: u64,
    },
    /// Another file has its name.
    Replaced {
        /// Bytes that the file had.
        from: u64,
        /// Bytes of the file that has its name.
        to: u64,
    },
    /// No file has its name.
    Gone,
    /// Another number of bytes came out of it than it has.
    Read {
        /// Bytes that came.
        read: u64,
        /// Its size.
        bytes: u64,
    },
    /// What was read is not what was hashed.
    Content {
        /// Size and SHA-256 of what was hashed.
        hashed: String,
        /// Those of what was read.
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
