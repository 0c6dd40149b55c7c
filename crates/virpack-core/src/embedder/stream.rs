//! Embeds records with a loaded model, in the records' order and in bounded memory.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use virpack_device::Device;
use virpack_seq::{AsyncDataLoader, Records, Shard};

use super::pieces::Pieces;
use super::{EmbedderOptions, pipeline};
use crate::Error;
use crate::cancel::CancelToken;
use crate::embeddings::Embeddings;
use crate::event::Event;
use crate::loaded_model::LoadedModel;
use crate::output::{Order, Turn};
use crate::runner::{AsyncInferenceRunner, RunnerItem};

/// The most bytes of embeddings that wait in memory for an earlier record. The rest waits in a temporary
/// file.
const WAITING_BYTES: usize = 64 << 20;

/// The embeddings of a stream of records, one piece at a time.
/// [`Embedder::stream`](super::Embedder::stream) makes it.
///
/// Every record occurs exactly once, with its row or among the skipped records. Nothing follows an error.
/// Dropping the stream ends the threads that read and run.
pub struct EmbeddingStream {
    loader: AsyncDataLoader,
    /// None at the end.
    runner: Option<AsyncInferenceRunner>,
    order: Order,
    pieces: Pieces,
    /// The error that ended the stream, until all pieces before it are taken.
    error: Option<Error>,
    empty: Embeddings,
    token_budget: usize,
    /// The place of the first record.
    first: u64,
    /// The number of finished records.
    records: u64,
    cancel: CancelToken,
    on_event: Box<dyn FnMut(Event) + Send>,
}

impl EmbeddingStream {
    /// Starts to run `records` through a model on `devices`.
    pub(crate) fn start<B: Device + 'static>(
        devices: &[LoadedModel<B>],
        records: Records,
        options: &EmbedderOptions,
        rows: NonZeroUsize,
        cancel: &CancelToken,
    ) -> Result<Self, Error> {
        let (hidden, is_residues) = (options.width(&devices[0].model.config), options.pool.is_none());
        let token_budget = LoadedModel::smallest_budget(devices);
        let first = records.next_index();
        let loader = pipeline::loader(options, devices, token_budget, records, Arc::default())?;
        let runner = pipeline::runner(options, devices, &loader, cancel)?;
        Ok(EmbeddingStream {
            loader,
            runner: Some(runner),
            // Rows that wait on disk have no output beside which they could be stored.
            order: Order::new(hidden, WAITING_BYTES, Path::new("-"), Shard::ALL).starting_at(first),
            pieces: Pieces::new(hidden, is_residues, rows.get()),
            error: None,
            empty: Embeddings::empty(hidden, is_residues),
            token_budget,
            first,
            records: 0,
            cancel: cancel.clone(),
            on_event: Box::new(|_| ()),
        })
    }

    /// Calls `on_event` after each batch, and when something happens that a user should know.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use virpack_core::seq::reader;
    /// use virpack_core::{CancelToken, Embedder, EmbedderOptions, Event};
    ///
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |_event| ())?;
    /// let records = reader::open(&["../../examples/proteins.fasta".into()])?;
    /// let stream = embedder.stream(records, NonZeroUsize::MIN, &CancelToken::new())?;
    /// let stream = stream.on_event(|event| {
    ///     if let Event::Progress(progress) = event {
    ///         eprintln!("{} records", progress.records);
    ///     }
    /// });
    /// assert_eq!(stream.count(), 4);
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    #[must_use]
    pub fn on_event(mut self, on_event: impl FnMut(Event) + Send + 'static) -> Self {
        self.on_event = Box::new(on_event);
        self
    }

    /// Returns all remaining embeddings as one piece.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use virpack_core::seq::reader;
    /// use virpack_core::{CancelToken, Embedder, EmbedderOptions};
    ///
    /// let embedder = Embedder::new(EmbedderOptions::new("virpack-mini/peptide"), |_event| ())?;
    /// let records = reader::open(&["../../examples/proteins.fasta".into()])?;
    /// let mut stream = embedder.stream(records, NonZeroUsize::MIN, &CancelToken::new())?;
    /// let first = stream.next().unwrap()?;
    /// assert_eq!((first.rows.len(), stream.all()?.rows.len()), (1, 3));
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first error.
    pub fn all(&mut self) -> Result<Embeddings, Error> {
        let mut all = self.empty.clone();
        for piece in self.by_ref() {
            let piece = piece?;
            if all.is_empty() {
                // The common case, one piece: nothing is copied.
                all = piece;
                continue;
            }
            let Embeddings { rows, values, residues, skipped, .. } = piece;
            all.rows.extend(rows);
            all.values.extend(values);
            all.skipped.extend(skipped);
            if let (Some(all), Some(residues)) = (&mut all.residues, residues) {
                all.extend(residues);
            }
        }
        Ok(all)
    }

    /// Returns the tokens of the batches so far, special tokens included.
    pub(crate) fn tokens(&self) -> u64 {
        self.loader.counters().tokens
    }

    /// Returns what the reader has passed over in the inputs so far, and which inputs were empty.
    pub fn remarks(&self) -> Vec<virpack_seq::InputRemark> {
        self.loader.progress().remarks_on(self.loader.inputs())
    }

    /// Takes an item of the runner; None at its end.
    fn take(&mut self, item: Option<Result<RunnerItem, Error>>) -> Result<(), Error> {
        let Some(item) = item else { return self.end() };
        let finished = match item? {
            RunnerItem::Device(event) => {
                (self.on_event)(event.into());
                return Ok(());
            }
            RunnerItem::Embeddings(finished) => finished,
        };
        let (order, pieces) = (&mut self.order, &mut self.pieces);
        let mut deliver = |turn| {
            self.records += 1;
            order.deliver(turn, |turn| {
                pieces.push(turn);
                Ok(())
            })
        };
        finished.skipped.iter().try_for_each(|record| deliver(Turn::Skipped(record)))?;
        finished.iter().try_for_each(|(row, values)| deliver(Turn::Row(row, values)))?;
        if let Some(runner) = &self.runner {
            (self.on_event)(pipeline::progress(&self.loader, runner, self.token_budget, self.records));
        }
        Ok(())
    }

    /// Checks that every record that was read has been returned.
    fn end(&mut self) -> Result<(), Error> {
        self.runner = None;
        if self.cancel.is_cancelled() {
            return Err(Error::Interrupted { kept: None });
        }
        self.order.finish(self.first + self.loader.progress().records())?;
        self.pieces.cut();
        Ok(())
    }
}

impl Iterator for EmbeddingStream {
    type Item = Result<Embeddings, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.pieces.pop() {
                return Some(Ok(piece));
            }
            if let Some(error) = self.error.take() {
                return Some(Err(error));
            }
            let item = self.runner.as_mut()?.next();
            if let Err(error) = self.take(item) {
                (self.runner, self.error) = (None, Some(error));
            }
        }
    }
}

impl std::fmt::Debug for EmbeddingStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddingStream").field("records", &self.records).finish_non_exhaustive()
    }
}
