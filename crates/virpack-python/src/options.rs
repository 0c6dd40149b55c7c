//! Converts options from Python. `_options.py` has checked their words.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;

use virpack_core::device::{Dtype, Pool};
use virpack_core::model::hub::HubOptions;
use virpack_core::output::{OutputDtype, OutputFormat};
use virpack_core::seq::{Input, LongRecords, Shard};
use virpack_core::{
    CheckpointOptions, DeviceChoice, DeviceChoiceError, DeviceOptions, EmbedOptions, EmbedderOptions, Hint,
    LengthOptions, TokenBudget,
};

use crate::error::input_error;

/// The device and the precision of a model.
#[derive(Clone, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct DeviceArguments {
    device: String,
    dtype: Option<String>,
    threads: Option<usize>,
    device_timeout: Option<u64>,
}

/// Which model embeds, and what it returns for a record.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct EmbedderArguments {
    model: String,
    runs_on: DeviceArguments,
    pool: Option<String>,
    layer: Option<i64>,
    max_length: Option<usize>,
    min_length: usize,
    long_records: String,
    window_overlap: Option<usize>,
    token_budget: Option<usize>,
    buffer_size: Option<usize>,
    packing: bool,
}

/// Where embeddings are written, and in which format.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct OutputArguments {
    output: PathBuf,
    format: Option<String>,
    dtype_out: String,
    resume: bool,
    checkpoint: bool,
    shard: Option<String>,
    report: bool,
    force: bool,
}

impl DeviceArguments {
    pub(crate) fn options(&self) -> PyResult<DeviceOptions> {
        let device = device_choice(&self.device)?;
        let dtype = self.dtype.as_deref().map(dtype);
        let threads = self.threads.map(|threads| non_zero("threads", threads)).transpose()?;
        Ok(DeviceOptions::default().device(device).dtype(dtype).threads(threads))
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.device_timeout.map(Duration::from_secs)
    }
}

impl EmbedderArguments {
    pub(crate) fn options(&self) -> PyResult<EmbedderOptions> {
        let pool = self.pool.as_deref().map(pool);
        let lengths = lengths(self.max_length, self.min_length, &self.long_records, self.window_overlap);
        let buffer_size = self.buffer_size.map(|records| non_zero("buffer_size", records)).transpose()?;
        Ok(EmbedderOptions::new(&*self.model)
            .downloads(HubOptions::from_env(), std::sync::Arc::new(()))
            .device(self.runs_on.options()?)
            .device_timeout(self.runs_on.timeout())
            .pool(pool)
            .layer(self.layer)
            .lengths(lengths)
            .token_budget(token_budget(self.token_budget))
            .buffer_size(buffer_size.map(NonZeroUsize::get))
            .packing(self.packing))
    }
}

impl OutputArguments {
    /// Returns the options of a run of `embedder` over `inputs` into the output.
    pub(crate) fn options(&self, embedder: EmbedderOptions, inputs: Vec<Input>) -> PyResult<EmbedOptions> {
        let checkpoint = self.checkpoint.then(|| CheckpointOptions::default().resume(self.resume));
        Ok(EmbedOptions::new(inputs, embedder, &self.output)
            .format(self.format.as_deref().map(format))
            .dtype_out(dtype_out(&self.dtype_out))
            .checkpoint(checkpoint)
            .shard(self.shard.as_deref().map(shard).transpose()?)
            .report(self.report)
            .force(self.force))
    }
}

/// Returns a precision of weights and activations.
pub(crate) fn dtype(name: &str) -> Dtype {
    match name {
        "float32-strict" => Dtype::F32Strict,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::Bf16,
        "int8" => Dtype::Int8,
        _ => Dtype::F32,
    }
}

/// Returns a type of values in a file.
pub(crate) fn dtype_out(name: &str) -> OutputDtype {
    match name {
        "float16" => OutputDtype::F16,
        "bfloat16" => OutputDtype::Bf16,
        _ => OutputDtype::F32,
    }
}

/// Returns the format of a file.
pub(crate) fn format(name: &str) -> OutputFormat {
    match name {
        "parquet" => OutputFormat::Parquet,
        "arrow" => OutputFormat::Arrow,
        "safetensors" => OutputFormat::Safetensors,
        "h5" => OutputFormat::H5,
        _ => OutputFormat::Npy,
    }
}

/// Returns how a record's rows are pooled to one.
pub(crate) fn pool(name: &str) -> Pool {
    match name {
        "cls" => Pool::Cls,
        "max" => Pool::Max,
        _ => Pool::Mean,
    }
}

/// Returns which lengths are accepted.
pub(crate) fn lengths(
    max_length: Option<usize>,
    min_length: usize,
    long_records: &str,
    window_overlap: Option<usize>,
) -> LengthOptions {
    // Every model's maximum length is more than twice the default overlap.
    let overlap = LongRecords::DEFAULT_OVERLAP.min(max_length.unwrap_or(usize::MAX) / 2);
    let long_records = match long_records {
        "window" => LongRecords::Window { overlap: window_overlap.unwrap_or(overlap) },
        "skip" => LongRecords::Skip,
        "error" => LongRecords::Error,
        _ => LongRecords::Truncate,
    };
    LengthOptions::default().max_length(max_length).min_length(min_length).long_records(long_records)
}

/// Returns the number of tokens, or as many as fit.
pub(crate) fn token_budget(tokens: Option<usize>) -> TokenBudget {
    tokens.map_or(TokenBudget::Auto, TokenBudget::Tokens)
}

/// Returns the devices that `text` names.
pub(crate) fn device_choice(text: &str) -> PyResult<DeviceChoice> {
    text.parse().map_err(|error: DeviceChoiceError| input_error(&error.to_string(), error.hint().as_deref()))
}

/// Checks a number that must be at least 1.
pub(crate) fn non_zero(name: &str, number: usize) -> PyResult<NonZeroUsize> {
    NonZeroUsize::new(number)
        .ok_or_else(|| input_error(&format!("{name} is 0"), Some("it must be at least 1")))
}

fn shard(text: &str) -> PyResult<Shard> {
    let parsed = text.parse::<Shard>();
    parsed
        .map_err(|problem| input_error(&format!("shard is {text:?}: {problem}"), Some("give it as \"2/8\"")))
}
