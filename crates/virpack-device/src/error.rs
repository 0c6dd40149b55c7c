//! Errors of a device.
//!
//! This crate is independent of `virpack-seq` and its trait `Hint`: its errors have a method of that name.

use std::borrow::Cow;

/// Errors of a device, with the facts to mend it.
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
    #[error("cannot start {threads} {}: {reason}", if *threads == 1 { "thread" } else { "threads" })]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// The system's message.
        reason: String,
    },
    /// Instructions that this machine does not have.
    #[error("this machine has no {instructions} for bfloat16")]
    Instructions {
        /// Those asked for.
        instructions: String,
    },
    /// The device has no room left.
    #[error("{op}: no room for {wanted} bytes on the device, {free} are free")]
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
        /// Its message.
        reason: String,
    },
    /// A kernel did not compile for this device.
    #[error("{file} does not compile for {architecture}:\n{log}")]
    Kernel {
        /// The source file.
        file: &'static str,
        /// The device's architecture.
        architecture: String,
        /// The compiler's message.
        log: String,
    },
    /// Values that are NaN or infinite: the model left the range of the dtype.
    #[error("{} of {rows} rows hold NaN or infinity, the first of them row {}", .broken.len(), .broken.first().unwrap_or(&0))]
    NotFinite {
        /// The rows, by their place in the batch.
        broken: Vec<usize>,
        /// Rows in the batch.
        rows: usize,
    },
}

/// Why a device cannot be used on this machine.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// What is missing.
    pub reason: String,
    /// What to do about it.
    pub remedy: Remedy,
}

/// What makes a device usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// The driver is missing.
    InstallDriver,
    /// cuBLASLt is missing.
    InstallCublas,
    /// NVRTC is missing.
    InstallNvrtc,
    /// The driver refuses.
    CheckDriver,
    /// The driver shows fewer cards.
    CheckCards,
    /// Another program may hold the card's memory.
    CheckMemory,
    /// The card is too old.
    UseCpu,
    /// The card has no such precision.
    ChangeDtype,
    /// A variable of the environment asks for what the card cannot do.
    CheckEnvironment,
}

impl Remedy {
    /// Returns what a person can do.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Remedy::InstallDriver => "install the NVIDIA driver, or run on the CPU",
            Remedy::InstallCublas => {
                "run inside a Python environment that has PyTorch, or `pip install nvidia-cublas`, or install the CUDA toolkit"
            }
            Remedy::InstallNvrtc => {
                "run inside a Python environment that has PyTorch, or `pip install nvidia-cuda-nvrtc`, or install the CUDA \
                 toolkit"
            }
            Remedy::CheckDriver => {
                "see `nvidia-smi`; the driver may be older than the libraries, or the card in use"
            }
            Remedy::CheckCards => "see `nvidia-smi -L` and CUDA_VISIBLE_DEVICES",
            Remedy::CheckMemory => "see `nvidia-smi`: another program may hold the card's memory",
            Remedy::UseCpu => "run on the CPU",
            Remedy::ChangeDtype => "compute in float16 or float32",
            Remedy::CheckEnvironment => "unset the variable",
        }
    }
}

impl Unavailable {
    /// Returns what a person can do about it.
    ///
    /// ```
    /// use virpack_device::{Remedy, Unavailable};
    ///
    /// let why = Unavailable { reason: "no card 3".to_owned(), remedy: Remedy::CheckCards };
    /// assert_eq!(why.to_string(), "no card 3");
    /// assert_eq!(why.hint().as_deref(), Some("see `nvidia-smi -L` and CUDA_VISIBLE_DEVICES"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.remedy.hint()))
    }
}

impl DeviceError {
    /// Returns what a person can do about it; None where there is nothing.
    ///
    /// ```
    /// let error = virpack_device::DeviceError::OutOfMemory { op: "upload", wanted: 9, free: 1 };
    /// assert_eq!(error.hint().as_deref(), Some("ask for smaller batches: a smaller token budget"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            DeviceError::Threads { threads: 1, .. } => {
                Some("raise the limit on processes or memory (ulimit -u, ulimit -v, the container's)".into())
            }
            DeviceError::Threads { .. } => Some(
                "ask for fewer, or raise the limit on processes or memory (ulimit -u, ulimit -v, the container's)".into(),
            ),
            DeviceError::OutOfMemory { .. } => {
                Some("ask for smaller batches: a smaller token budget".into())
            }
            DeviceError::Instructions { .. } => Some("leave the choice to the machine".into()),
            DeviceError::NotFinite { .. } => Some("try bfloat16 or float32, which have a wider range".into()),
            DeviceError::Shape { .. }
            | DeviceError::TokenId { .. }
            | DeviceError::Call { .. }
            | DeviceError::Kernel { .. } => None,
        }
    }

    /// Returns whether virpack is at fault, and neither the device nor the options.
    ///
    /// ```
    /// use virpack_device::DeviceError;
    ///
    /// assert!(DeviceError::TokenId { id: 40, vocabulary: 33 }.is_fault());
    /// assert!(!DeviceError::OutOfMemory { op: "upload", wanted: 9, free: 1 }.is_fault());
    /// ```
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(self, DeviceError::Shape { .. } | DeviceError::TokenId { .. })
    }

    pub(crate) fn shape(op: &'static str, expected: impl Into<String>, given: impl Into<String>) -> Self {
        DeviceError::Shape { op, expected: expected.into(), given: given.into() }
    }
}
