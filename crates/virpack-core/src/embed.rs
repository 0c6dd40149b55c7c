//! Sequence files to a file of embeddings: the straight line.

mod identity;
mod model;
mod options;
mod output;
mod report;
mod summary;

use std::sync::Arc;
use std::time::Instant;

use virpack_device::Device;
use virpack_seq::Records;

use crate::Error;
use crate::cancel::CancelToken;
use crate::embedder::{self, Embedder, for_model};
use crate::event::Event;
use crate::for_devices;
use crate::resume::Session;
use model::EmbedModel;
pub use options::EmbedOptions;
use output::{EmbedOutput, Times};
pub use summary::EmbedSummary;

/// Embeds every record of the inputs into the output.
///
/// `on_event` is called when the device is ready, after each batch, and when something happens that a user
/// should know. Once `cancel` is cancelled, the batches in flight are finished and kept.
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
/// Returns the first failure; no partial output is left behind. [`Error::Interrupted`] of a run that was
/// cancelled.
pub fn embed(
    options: &EmbedOptions,
    cancel: &CancelToken,
    mut on_event: impl FnMut(Event),
) -> Result<EmbedSummary, Error> {
    options.check()?;
    let devices = options.embedder.device.open_all_noting(|card| on_event(Event::LeftOut(card)))?;
    for_devices!(devices, |devices| embed_on(devices, options, cancel, on_event))
}

/// [`embed`] on devices that are ready, at least one.
///
/// ```
/// use std::sync::Arc;
/// use virpack_core::device::Cpu;
/// use virpack_core::{CancelToken, EmbedOptions, embed_on};
///
/// # let folder = tempfile::tempdir()?;
/// # let output = folder.path().join("emb.npy");
/// let inputs = vec!["../../examples/proteins.fasta".into()];
/// let options = EmbedOptions::new(inputs, "virpack-mini", &output);
/// let cpu = Arc::new(Cpu::new(None)?);
/// assert_eq!(embed_on(vec![cpu], &options, &CancelToken::new(), |_event| ())?.written.rows, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    let model = EmbedModel::load(&backends, &model, options, &session, &mut on_event)?;
    drop(backends);
    run(model, records, session, begun, options, cancel, on_event)
}

impl Embedder {
    /// As [`embed`](crate::embed), by this model: what `options` say of a model and of what it does is left
    /// aside.
    ///
    /// ```
    /// use virpack_core::{CancelToken, EmbedOptions, Embedder, EmbedderOptions};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |_event| ())?;
    /// let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = EmbedOptions::new(inputs, embedder.model(), folder.path().join("proteins.parquet"));
    /// assert_eq!(embedder.write(&options, &CancelToken::new(), |_event| ())?.written.rows, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`embed`](crate::embed).
    pub fn write(
        &self,
        options: &EmbedOptions,
        cancel: &CancelToken,
        on_event: impl FnMut(Event),
    ) -> Result<EmbedSummary, Error> {
        let options = options.clone().embedder(self.options().clone());
        options.check()?;
        let begun = Instant::now();
        let (records, session) = (options.open_inputs()?, options.session()?);
        for_model!(self.any_model(), |warm| {
            let model = EmbedModel::of_warm(Arc::clone(warm), &options, &session)?;
            run(model, records, session, begun, &options, cancel, on_event)
        })
    }

    /// As [`Embedder::write`], of `records` instead of the inputs that `options` name: they are in memory, so
    /// that nothing is kept of an unfinished run.
    ///
    /// ```
    /// use virpack_core::seq::{Record, Records};
    /// use virpack_core::{CancelToken, EmbedOptions, Embedder, EmbedderOptions};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |_event| ())?;
    /// let records = Records::from_records("sequences", [Record::new("p", "MKTLLV")]);
    /// let options = EmbedOptions::new(Vec::new(), embedder.model(), folder.path().join("p.npy"));
    /// let summary = embedder.write_records(records, &options, &CancelToken::new(), |_event| ())?;
    /// assert_eq!(summary.written.rows, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Embedder::write`].
    pub fn write_records(
        &self,
        records: Records,
        options: &EmbedOptions,
        cancel: &CancelToken,
        on_event: impl FnMut(Event),
    ) -> Result<EmbedSummary, Error> {
        let options = options.clone().embedder(self.options().clone());
        let options = options.inputs(records.inputs().to_vec()).checkpoint(None);
        options.check_output()?;
        let (begun, session) = (Instant::now(), options.session()?);
        for_model!(self.any_model(), |warm| {
            let model = EmbedModel::of_warm(Arc::clone(warm), &options, &session)?;
            run(model, records, session, begun, &options, cancel, on_event)
        })
    }
}

/// Runs records through a model and writes what it gives.
fn run<B: Device + 'static>(
    mut model: EmbedModel<B>,
    records: Records,
    session: Session,
    begun: Instant,
    options: &EmbedOptions,
    cancel: &CancelToken,
    mut on_event: impl FnMut(Event),
) -> Result<EmbedSummary, Error> {
    let mut output = EmbedOutput::create(options, &mut model, session, records.progress(), &mut on_event)?;
    let (loading, start) = (begun.elapsed(), Instant::now());
    let EmbedModel { warm, token_budget, .. } = model;
    let loader =
        embedder::loader(&options.embedder, &warm.devices, token_budget, records, output.finished())?;
    let mut runner = embedder::runner(&options.embedder, &warm.devices, &loader, cancel)?;
    while let Some(item) = runner.next() {
        if let Err(error) = item.and_then(|item| output.write(item, &mut on_event)) {
            return Err(output.end_with(error));
        }
        on_event(output.progress(&loader, &runner));
    }
    if cancel.is_cancelled() {
        return Err(output.interrupt());
    }
    output.finish(&warm, &loader, &runner, &Times { loading, elapsed: start.elapsed() })
}
