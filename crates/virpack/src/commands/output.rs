//! Options that say what is written; shared by `embed` and `merge`.

use super::choice::choice;
use clap::Args;
use std::path::{Path, PathBuf};
use virpack_core::output::{OutputDtype, OutputFormat};

/// The output's name, format and type.
#[derive(Debug, Args)]
pub(crate) struct OutputArguments {
    /// The file of embeddings: .npy, .parquet, .arrows, .safetensors or .h5, or its URL in a store (s3://,
    /// gs://, az://); `-` writes .npy to standard output (with `--format arrow`: a stream of batches), without
    /// tables or run.json beside it
    #[arg(long = "output", short = 'o', value_name = "FILE", required = true)]
    path: Option<PathBuf>,

    /// File format [default: by the ending of the file's name]
    #[arg(long = "format", value_enum, value_name = "FORMAT")]
    file_format: Option<Format>,

    /// Precision of the values in the file
    #[arg(long, value_enum, value_name = "DTYPE", default_value_t = DtypeOut::F32)]
    dtype_out: DtypeOut,
}

choice! {
    pub(super) enum Format for OutputFormat {
        Npy => OutputFormat::Npy,
        Parquet => OutputFormat::Parquet,
        Arrow => OutputFormat::Arrow,
        Safetensors => OutputFormat::Safetensors,
        H5 => OutputFormat::H5,
    }
}

choice! {
    pub(super) enum DtypeOut for OutputDtype {
        /// float32
        F32 => OutputDtype::F32,
        /// float16: half the bytes, values up to 65,504
        F16 => OutputDtype::F16,
        /// bfloat16, for .safetensors only
        Bf16 => OutputDtype::Bf16,
    }
}

impl OutputArguments {
    /// Returns the output's name; standard output for a command that needs no name.
    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("-"))
    }

    pub(crate) fn format(&self) -> Option<OutputFormat> {
        self.file_format.map(OutputFormat::from)
    }

    pub(crate) fn dtype(&self) -> OutputDtype {
        self.dtype_out.into()
    }
}
