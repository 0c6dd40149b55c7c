//! Connects the loader and the runner, between records and their embeddings.

use std::sync::Arc;

use virpack_device::Device;
use virpack_seq::{AsyncDataLoader, IndexSet, LoaderOptions, LongRecords, Records};

use super::EmbedderOptions;
use crate::Error;
use crate::cancel::CancelToken;
use crate::event::Event;
use crate::loaded_model::LoadedModel;
use crate::progress::{ModelProgress, Progress};
use crate::runner::{AsyncInferenceRunner, RunnerOptions};

/// The batches that wait for each device, if there are several.
const BATCHES_A_DEVICE: usize = 2;

/// Starts to read, tokenize and pack `records`, for a model on `devices`. The `finished` records are not
/// run.
pub(crate) fn loader<B: Device>(
    options: &EmbedderOptions,
    devices: &[LoadedModel<B>],
    token_budget: usize,
    records: Records,
    finished: Arc<IndexSet>,
) -> Result<AsyncDataLoader, Error> {
    let loading = LoaderOptions::default().lengths(devices[0].lengths).done(finished);
    // No device waits for the collator, whose batches come a buffer at a time.
    let prefetch = loading.prefetch.max(BATCHES_A_DEVICE * devices.len());
    let loading = loading.prefetch(prefetch);
    let tokenizer = Arc::clone(&devices[0].model.tokenizer);
    Ok(AsyncDataLoader::new(
        records,
        tokenizer,
        options.collator(token_budget, &devices[0].lengths)?,
        loading,
    )?)
}

/// Starts to run the batches of `loader` on `devices`, and to pool the results.
pub(crate) fn runner<B: Device + 'static>(
    options: &EmbedderOptions,
    devices: &[LoadedModel<B>],
    loader: &AsyncDataLoader,
    cancel: &CancelToken,
) -> Result<AsyncInferenceRunner, Error> {
    let model = &devices[0].model;
    let window_overlap = match devices[0].lengths.long_records {
        LongRecords::Window { overlap } if !model.tokenizer.merges_letters() => overlap,
        _ => 0,
    };
    let running = RunnerOptions::new(options.layer_of(&model.config)?)
        .pool(options.pool)
        .window_overlap(window_overlap)
        .device_timeout(options.device_timeout)
        .cancel(cancel.clone());
    let on = |device: &LoadedModel<B>| (Arc::clone(&device.backend), Arc::clone(&device.model.encoder));
    AsyncInferenceRunner::new(devices.iter().map(on).collect(), loader.clone(), running)
}

/// Returns the progress of a run that has finished `records` records.
pub(crate) fn progress(
    loader: &AsyncDataLoader,
    runner: &AsyncInferenceRunner,
    token_budget: usize,
    records: u64,
) -> Event {
    let (counters, tallies) = (loader.counters(), runner.tallies());
    let tokens = counters.tokens - counters.tokens_done;
    let model = ModelProgress { model: None, tokens, cost: 1.0, token_budget, tallies };
    Event::Progress(Progress::new(loader.progress(), records, &[model]))
}
