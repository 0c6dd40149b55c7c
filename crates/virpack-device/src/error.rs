//! What can go wrong on a device.

/// What can go wrong on a device, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Shapes that do not fit each other.
    #[error("{op}: expected {expected}, given {given}")]
    Shape {
        /// The operation that refused.
        op: &'static str,
        /// What it takes.
        expected: String,
        /// What it got.
        given: String,
    },
    /// A token id outside the embedding table.
    #[error("token id {id} is outside the embedding table of {vocabulary} rows")]
    TokenId {
        /// The id.
        id: u16,
        /// Rows of the table.
        vocabulary: usize,
    },
    /// Worker threads could not be started.
    #[error("cannot start {threads} threads: {reason}\nhint: ask for fewer with --threads")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

impl DeviceError {
    pub(crate) fn shape(op: &'static str, expected: impl Into<String>, given: impl Into<String>) -> Self {
        DeviceError::Shape { op, expected: expected.into(), given: given.into() }
    }
}
