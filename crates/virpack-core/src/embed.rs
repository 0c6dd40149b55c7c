//! Sequence files to a file of embeddings: the straight line.

mod identity;
mod model;
mod options;
mod output;
mod pipeline;
mod report;
mod summary;

use std::sync::Arc;
use std::time::Instant;

use virpack_device::{Cpu, Device};
use virpack_model::ModelConfig;
use virpack_model::weights::Weights;
use virpack_seq::Records;

use crate::Error;
use crate::cancel::CancelToken;
use crate::event::Event;
use crate::for_devices;
use crate::loaded_model::LoadedModel;
use crate::output::Row;
use crate::runner::{BatchRows, RunnerItem};
use model::EmbedModel;
pub use options::EmbedOptions;
use output::{EmbedOutput, Times};
pub use summary::EmbedSummary;

/// Embeds every record of the inputs into the output.
///
/// `on_event` is called when the device is ready, after each batch, and when something happens that a user should know.
/// Once `cancel` is cancelled, the batches in flight are finished and kept.
///
/// ```
/// use virpack_core::{CancelToken, EmbedOptions, Event, embed};
///
/// # let folder = tempfile::tempdir()?;
/// # let [input, output] = ["in.fa", "out.parquet"].map(|name| folder.path().join(name));
/// std::fs::write(&input, ">a\nMKTLLV\n>b\nMKQ\n")?;
/// let options = EmbedOptions::new(vec![input.into()], "virpack-mini", &output);
/// let mut chosen = None;
/// let summary = embed(&options, &CancelToken::new(), |event| {
///     if let Event::BuiltInModel { model } = event {
///         chosen = Some(model);
///     }
/// })?;
/// assert_eq!((summary.written.rows, chosen), (2, Some("virpack-mini/peptide")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns the first failure; no partial output is left behind. [`Error::Interrupted`] of a run that was cancelled.
pub fn embed(
    options: &EmbedOptions,
    cancel: &CancelToken,
    on_event: impl FnMut(Event),
) -> Result<EmbedSummary, Error> {
    options.check()?;
    for_devices!(options.device.open_all()?, |devices| embed_on(devices, options, cancel, on_event))
}

/// [`embed`] on devices that are ready, at least one.
///
/// # Errors
///
/// As [`embed`].
pub fn embed_on<B: Device + 'static>(
    backends: Vec<Arc<B>>,
    options: &EmbedOptions,
    cancel: &CancelToken,
    mut on_event: impl FnMut(Event),
) -> Result<EmbedSummary, Error> {
    let model = options.find_model(&mut on_event)?;
    let begun = Instant::now();
    let records = options.open_inputs()?;
    let session = options.session()?;
    let mut model = EmbedModel::load(&backends, model, options, &session, &mut on_event)?;
    drop(backends);
    let mut output = EmbedOutput::create(options, &mut model, session, records.progress(), &mut on_event)?;
    let (loading, start) = (begun.elapsed(), Instant::now());
    let loader = pipeline::loader(options, &model.devices, model.token_budget, records, output.finished())?;
    let mut runner = pipeline::runner(options, &model.devices, &loader, cancel)?;
    while let Some(item) = runner.next() {
        output.write(item?, &mut on_event)?;
        on_event(output.progress(&loader, &runner));
    }
    if cancel.is_cancelled() {
        return Err(output.interrupt());
    }
    output.finish(&model, &loader, &runner, &Times { loading, elapsed: start.elapsed() })
}

/// Embeds records by the CPU, in memory; for small inputs and for tests. The options' inputs and output are
/// not used.
///
/// ```
/// use virpack_core::seq::Records;
/// use virpack_core::{EmbedOptions, embed_records};
///
/// let records = Records::from_reader("two", &b">a\nMKTLLV\n>b\nMKQ\n"[..])?;
/// let options = EmbedOptions::new(Vec::new(), "virpack-mini/peptide", "");
/// let rows = embed_records(records, &options)?;
/// assert_eq!((&*rows[1].0.id, rows[1].0.length), ("b", 3));
/// assert_eq!(rows[0].1.len(), rows[1].1.len());
/// # Ok::<(), virpack_core::Error>(())
/// ```
///
/// # Errors
///
/// As [`embed`].
pub fn embed_records(records: Records, options: &EmbedOptions) -> Result<Vec<(Row, Vec<f32>)>, Error> {
    let cpu = Arc::new(Cpu::new(options.device.threads)?);
    let weights = Weights::at(&options.find_model(&mut |_| ())?.location)?;
    let lengths = options.lengths.up_to(ModelConfig::of(&weights)?.max_length());
    let devices = LoadedModel::load_on_all(vec![cpu], &weights, lengths, false, options.token_budget)?;
    collect(&devices, records, options)
}

/// The records with their embeddings, in memory and in the input's order.
pub(crate) fn collect<B: Device + 'static>(
    devices: &[LoadedModel<B>],
    records: Records,
    options: &EmbedOptions,
) -> Result<Vec<(Row, Vec<f32>)>, Error> {
    let hidden = devices[0].model.config.hidden();
    let token_budget = LoadedModel::smallest_budget(devices);
    let loader = pipeline::loader(options, devices, token_budget, records, Arc::default())?;
    let mut all = Vec::new();
    for item in pipeline::runner(options, devices, &loader, &CancelToken::new())? {
        if let RunnerItem::Rows(BatchRows::Embeddings { rows, values }) = item? {
            all.extend(rows.into_iter().zip(values.chunks_exact(hidden).map(<[f32]>::to_vec)));
        }
    }
    all.sort_by_key(|(row, _)| row.record);
    Ok(all)
}
