//! A model that is loaded once and embeds as often as it is asked to.

mod options;
mod pipeline;
mod rows;
mod stream;
mod warm;

use std::num::NonZeroUsize;
use std::sync::Arc;

use virpack_device::{Cpu, Cuda, Device};
use virpack_seq::{Alphabet, Records};

use crate::Error;
use crate::cancel::CancelToken;
use crate::event::Event;
use crate::for_devices;
pub use options::EmbedderOptions;
pub(crate) use pipeline::{loader, progress, runner};
pub use rows::Embeddings;
pub use stream::EmbeddingStream;
pub(crate) use warm::{ModelChecksums, OpenedModel, WarmModel};

/// A model that is loaded once, on one or more devices, and embeds as often as it is asked to: a call after
/// the first reads no file of the model, and gives the bits that [`embed`](crate::embed) writes for the same
/// records.
///
/// It may be shared by threads: calls of several threads share its devices.
///
/// ```
/// use virpack_core::seq::{Record, Records};
/// use virpack_core::{Embedder, EmbedderOptions};
///
/// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |_event| ())?;
/// for letters in ["MKTLLV", "MKQ"] {
///     let embeddings = embedder.embed(Records::from_records("sequences", [Record::new("p", letters)]))?;
///     assert_eq!(embeddings.values.len(), embedder.hidden_size());
/// }
/// # Ok::<(), virpack_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Embedder {
    options: EmbedderOptions,
    model: AnyModel,
}

/// A model on devices of any one kind.
#[derive(Clone)]
pub(crate) enum AnyModel {
    Cpu(Arc<WarmModel<Cpu>>),
    Cuda(Arc<WarmModel<Cuda>>),
}

/// Runs an expression with a model on devices of whatever kind [`AnyModel`] holds. A new kind is registered
/// here, in `AnyModel` and where [`for_devices!`](crate::for_devices) says.
macro_rules! for_model {
    ($model:expr, |$warm:ident| $work:expr) => {
        match $model {
            $crate::embedder::AnyModel::Cpu($warm) => $work,
            $crate::embedder::AnyModel::Cuda($warm) => $work,
        }
    };
}
pub(crate) use for_model;

impl From<WarmModel<Cpu>> for AnyModel {
    fn from(model: WarmModel<Cpu>) -> Self {
        AnyModel::Cpu(Arc::new(model))
    }
}

impl From<WarmModel<Cuda>> for AnyModel {
    fn from(model: WarmModel<Cuda>) -> Self {
        AnyModel::Cuda(Arc::new(model))
    }
}

impl Embedder {
    /// Loads the model onto its devices, and takes the memory of its batches. `on_event` gets what a user
    /// should know of the weights, and that the devices are ready.
    ///
    /// # Errors
    ///
    /// Options that do not fit together, a device that cannot be used, a model that cannot be found or read,
    /// or does not fit.
    pub fn new(options: EmbedderOptions, mut on_event: impl FnMut(Event)) -> Result<Embedder, Error> {
        options.check()?;
        let devices = options.device.open_all_noting(|card| on_event(Event::LeftOut(card)))?;
        let model = for_devices!(devices, |devices| {
            let found = options.find_model()?;
            let warm = WarmModel::load(&devices, &found, &options, &mut on_event)?;
            warm.devices.iter().flat_map(|device| device.events()).for_each(on_event);
            AnyModel::from(warm)
        });
        Ok(Embedder { options, model })
    }

    /// Embeds all `records`, in memory.
    ///
    /// ```
    /// use virpack_core::seq::reader;
    /// use virpack_core::{Embedder, EmbedderOptions};
    ///
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |_event| ())?;
    /// let embeddings = embedder.embed(reader::open(&["../../examples/proteins.fasta".into()])?)?;
    /// assert_eq!((embeddings.rows.len(), embeddings.hidden), (4, 192));
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What keeps a record from being read, or the model from being run.
    pub fn embed(&self, records: Records) -> Result<Embeddings, Error> {
        self.stream(records, NonZeroUsize::MAX, &CancelToken::new())?.all()
    }

    /// Embeds `records` of any number in bounded memory: embeddings come in the records' order, `rows` rows
    /// of values at a time. Once `cancel` is cancelled, the batches in flight are finished and the stream
    /// ends with [`Error::Interrupted`].
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use virpack_core::seq::reader;
    /// use virpack_core::{CancelToken, Embedder, EmbedderOptions};
    ///
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |_event| ())?;
    /// let records = reader::open(&["../../examples/proteins.fasta".into()])?;
    /// let three = NonZeroUsize::new(3).unwrap();
    /// let mut rows = Vec::new();
    /// for embeddings in embedder.stream(records, three, &CancelToken::new())? {
    ///     rows.push(embeddings?.rows.len());
    /// }
    /// assert_eq!(rows, [3, 1]);
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Options of the reader that do not fit, or no threads.
    pub fn stream(
        &self,
        records: Records,
        rows: NonZeroUsize,
        cancel: &CancelToken,
    ) -> Result<EmbeddingStream, Error> {
        for_model!(&self.model, |model| {
            EmbeddingStream::start(&model.devices, records, &self.options, rows, cancel)
        })
    }

    /// The model's name: as it was given.
    pub fn model(&self) -> &str {
        for_model!(&self.model, |model| &model.name)
    }

    /// Values of a row.
    pub fn hidden_size(&self) -> usize {
        for_model!(&self.model, |model| self.options.width(&model.config))
    }

    /// Most residues, or bases, in a sequence.
    pub fn max_length(&self) -> usize {
        for_model!(&self.model, |model| model.lengths.max_length)
    }

    /// What the model reads; None where it takes any letters.
    pub fn alphabet(&self) -> Option<Alphabet> {
        for_model!(&self.model, |model| model.devices[0].model.tokenizer.alphabet())
    }

    /// Most tokens in a batch.
    pub fn token_budget(&self) -> usize {
        for_model!(&self.model, |model| model.token_budget())
    }

    /// The devices, for people.
    pub fn devices(&self) -> Vec<String> {
        for_model!(&self.model, |model| {
            // A backend may have another `name` of its own.
            model.devices.iter().map(|device| Device::name(&*device.backend)).collect()
        })
    }

    /// The SHA-256 of the weights, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        for_model!(&self.model, |model| model.checksums.sha256())
    }

    /// What it was made with.
    pub fn options(&self) -> &EmbedderOptions {
        &self.options
    }

    /// The model on its devices.
    pub(crate) fn any_model(&self) -> &AnyModel {
        &self.model
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("model", &self.model()).finish_non_exhaustive()
    }
}
