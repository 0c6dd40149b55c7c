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
    #[error(
        "cannot start {threads} {}: {reason}\n\
         hint: {}raise the limit on processes or memory (ulimit -u, ulimit -v, the container's)",
        if *threads == 1 { "thread" } else { "threads" },
        if *threads == 1 { "" } else { "ask for fewer with --threads, or " }
    )]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// The device has no room left.
    #[error(
        "{op}: no room for {wanted} bytes on the device, {free} are free\nhint: ask for smaller batches with --token-budget"
    )]
    OutOfMemory {
        /// What asked.
        op: &'static str,
        /// Bytes asked for.
        wanted: usize,
        /// Bytes the device has free.
        free: usize,
    },
    /// A call to the device's driver or libraries failed.
    #[error("{call} failed: {reason}")]
    Call {
        /// The function.
        call: &'static str,
        /// What it said.
        reason: String,
    },
    /// A kernel did not compile for this device.
    #[error("{file} does not compile for {architecture}:\n{log}")]
    Kernel {
        /// The source file.
        file: &'static str,
        /// The device's architecture.
        architecture: String,
        /// What the compiler said.
        log: String,
    },
    /// Values that are NaN or infinite: the model left the range of the dtype.
    #[error("{} of {rows} rows hold NaN or infinity, the first of them row {}\nhint: try --dtype bf16 or f32", .broken.len(), .broken.first().unwrap_or(&0))]
    NotFinite {
        /// The rows, by their place in the batch.
        broken: Vec<usize>,
        /// Rows in the batch.
        rows: usize,
    },
}

/// Why a device cannot be used on this machine.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}\nhint: {hint}")]
pub struct Unavailable {
    /// What is missing.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

impl DeviceError {
    pub(crate) fn shape(op: &'static str, expected: impl Into<String>, given: impl Into<String>) -> Self {
        DeviceError::Shape { op, expected: expected.into(), given: given.into() }
    }
}
