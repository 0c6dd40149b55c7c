//! A model that is loaded once and embeds any number of times.

mod options;
mod pieces;
mod pipeline;
mod stream;
mod warm;

use std::num::NonZeroUsize;
use std::sync::Arc;

use virpack_device::{Cpu, Cuda, Device};
use virpack_seq::{Alphabet, Records};

use crate::Error;
use crate::cancel::CancelToken;
use crate::embeddings::Embeddings;
use crate::event::Event;
use crate::for_devices;
pub use options::EmbedderOptions;
pub(crate) use pipeline::{loader, progress, runner};
pub use stream::EmbeddingStream;
pub(crate) use warm::{ModelChecksums, OpenedModel, WarmModel};

/// A model that is loaded once, on one or more devices, and embeds any number of times. A call after the
/// first reads no file of the model, and returns the bits that [`embed`](crate::embed) writes for the same
/// records.
///
/// Threads may share it: calls of several threads share its devices.
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

/// Runs an expression with a model on the devices of any kind that [`AnyModel`] holds. Register a new kind
/// here, in `AnyModel`, and where [`for_devices!`](crate::for_devices) says.
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
    /// Loads the model onto its devices, and allocates the memory of its batches. `on_event` receives what
    /// a user should know about the weights, and that the devices are ready.
    ///
    /// ```
    /// use virpack_core::{Embedder, EmbedderOptions, Event};
    ///
    /// let mut tokens = 0;
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |event| {
    ///     if let Event::Ready { budgets, .. } = event {
    ///         tokens = budgets[0].tokens;
    ///     }
    /// })?;
    /// assert_eq!(tokens, embedder.token_budget());
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If options contradict each other, a device cannot be used, or a model cannot be found, cannot be
    /// read or does not fit.
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
    /// assert_eq!((embeddings.rows.len(), embeddings.hidden), (4, 128));
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a record cannot be read, or the model cannot be run.
    pub fn embed(&self, records: Records) -> Result<Embeddings, Error> {
        self.stream(records, NonZeroUsize::MAX, &CancelToken::new())?.all()
    }

    /// Embeds any number of `records` in bounded memory. Embeddings come in the records' order, `rows` rows
    /// of values at a time. After `cancel` is cancelled, the batches in flight are finished and the stream
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
    /// If options of the reader contradict each other, or a thread does not start.
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

    /// Returns the model's name, as the user gave it.
    pub fn model(&self) -> &str {
        for_model!(&self.model, |model| &model.name)
    }

    /// Returns the number of values in a row.
    ///
    /// ```
    /// use virpack_core::device::Pool;
    /// use virpack_core::{Embedder, EmbedderOptions};
    ///
    /// let options = EmbedderOptions::new("virpack-mini/peptide").pool(Pool::MeanMax);
    /// // The mean of the residues, and beside it their maximum.
    /// assert_eq!(Embedder::new(options, |_event| ())?.hidden_size(), 2 * 128);
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    pub fn hidden_size(&self) -> usize {
        for_model!(&self.model, |model| self.options.width(&model.config))
    }

    /// Returns the most residues, or bases, in a sequence.
    ///
    /// ```
    /// use virpack_core::{Embedder, EmbedderOptions, LengthOptions};
    ///
    /// let lengths = LengthOptions::default().max_length(300);
    /// let options = EmbedderOptions::new("virpack-mini/peptide").lengths(lengths);
    /// assert_eq!(Embedder::new(options, |_event| ())?.max_length(), 300);
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    pub fn max_length(&self) -> usize {
        for_model!(&self.model, |model| model.lengths.max_length)
    }

    /// Returns what the model reads; None if it takes any letters.
    ///
    /// ```
    /// use virpack_core::seq::Alphabet;
    /// use virpack_core::{Embedder, EmbedderOptions};
    ///
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |_event| ())?;
    /// assert_eq!(embedder.alphabet(), Some(Alphabet::Proteins));
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    pub fn alphabet(&self) -> Option<Alphabet> {
        for_model!(&self.model, |model| model.devices[0].model.tokenizer.alphabet())
    }

    /// Returns the most tokens in a batch.
    pub fn token_budget(&self) -> usize {
        for_model!(&self.model, |model| model.token_budget())
    }

    /// Returns the names of the devices, for people.
    pub fn devices(&self) -> Vec<String> {
        for_model!(&self.model, |model| {
            // A backend may have a `name` of its own.
            model.devices.iter().map(|device| Device::name(&*device.backend)).collect()
        })
    }

    /// Returns the SHA-256 of the weights, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        for_model!(&self.model, |model| model.checksums.sha256())
    }

    /// Returns the options it was created with.
    pub fn options(&self) -> &EmbedderOptions {
        &self.options
    }

    /// Returns the model on its devices.
    pub(crate) fn any_model(&self) -> &AnyModel {
        &self.model
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("model", &self.model()).finish_non_exhaustive()
    }
}
