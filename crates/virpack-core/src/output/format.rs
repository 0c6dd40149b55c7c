//! The formats of files, and what each can hold.

use std::path::{Path, is_separator};

use super::{OutputDtype, OutputError, OutputProblem, is_stdout};

/// A format of embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// One array, as numpy reads it.
    Npy,
    /// Apache Parquet, with a row for each record.
    Parquet,
    /// A stream of Arrow's IPC format, with a row for each record.
    Arrow,
    /// Hugging Face's format for tensors.
    Safetensors,
    /// HDF5.
    H5,
    /// One machine's share of a run, for [`merge`](crate::merge::merge) to join.
    Shard,
}

impl OutputFormat {
    const ALL: [(&str, OutputFormat); 6] = [
        ("npy", OutputFormat::Npy),
        ("parquet", OutputFormat::Parquet),
        ("arrows", OutputFormat::Arrow),
        ("safetensors", OutputFormat::Safetensors),
        ("h5", OutputFormat::H5),
        ("shard", OutputFormat::Shard),
    ];

    /// Returns the format of the extension of `path`, whatever its case; `.npy` for `-`, standard output.
    ///
    /// ```
    /// use virpack_core::output::OutputFormat;
    ///
    /// let format = OutputFormat::of("emb.PARQUET".as_ref())?;
    /// assert_eq!((format, format.ending()), (OutputFormat::Parquet, "parquet"));
    /// # Ok::<(), virpack_core::output::OutputError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`OutputError`] for any other extension.
    pub fn of(path: &Path) -> Result<OutputFormat, OutputError> {
        if is_stdout(path) {
            return Ok(OutputFormat::Npy);
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
        let asked = ending.as_deref().unwrap_or_default();
        let known = Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(asked));
        known.map(|(_, format)| *format).ok_or_else(|| {
            let all = Self::ALL.iter().filter(|(_, format)| *format != OutputFormat::Shard);
            let supported = all.map(|(name, _)| format!(".{name}")).collect::<Vec<_>>().join(", ");
            OutputProblem::UnknownFormat { path: path.to_path_buf(), ending, supported }.into()
        })
    }

    /// Returns its extension, without the dot.
    ///
    /// ```
    /// use virpack_core::output::OutputFormat;
    ///
    /// assert_eq!(OutputFormat::of("emb.arrows".as_ref())?.ending(), "arrows");
    /// # Ok::<(), virpack_core::output::OutputError>(())
    /// ```
    #[must_use]
    pub fn ending(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// Checks that the format can hold values of this type, and a table of rows for each record if
    /// `residues`.
    pub(super) fn check(self, dtype: OutputDtype, residues: bool) -> Result<(), OutputError> {
        if residues && self == OutputFormat::Npy {
            return Err(OutputProblem::NoResidues(self).into());
        }
        if dtype == OutputDtype::Bf16 && self != OutputFormat::Safetensors {
            return Err(OutputProblem::NoDtype { format: self, dtype }.into());
        }
        Ok(())
    }

    /// Checks that the format can be written to standard output.
    pub(super) fn check_stdout(self) -> Result<(), OutputError> {
        match self {
            OutputFormat::Npy | OutputFormat::Arrow => Ok(()),
            format => Err(OutputProblem::NoStream(format).into()),
        }
    }

    /// Returns whether the format needs a table of records beside the file, because it cannot hold text.
    pub(super) fn has_record_table(self) -> bool {
        matches!(self, OutputFormat::Npy | OutputFormat::Safetensors)
    }
}

/// Returns what a name means by itself, whatever exists there: redirected standard output looks like a file.
pub(super) fn special_name(path: &Path) -> Option<&'static str> {
    let last = path.as_os_str().as_encoded_bytes().last();
    match last {
        _ if path == Path::new("-") => Some("standard output"),
        Some(&byte) if is_separator(byte.into()) => Some("the name of a directory"),
        // /dev/shm holds files like any other directory, in memory.
        _ if path.starts_with("/dev/shm") => None,
        _ if path.starts_with("/dev") || path.starts_with("/proc") => Some("in a file system of devices"),
        _ => None,
    }
}
