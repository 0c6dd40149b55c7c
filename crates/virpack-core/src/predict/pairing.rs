//! Pairs both models' embeddings of a frame, and turns them into scores.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossbeam_channel::{Select, never};
use virpack_seq::frames::{Chunk, FrameItem, FrameLoader, Pair, weight};
use virpack_seq::{AsyncDataLoader, Record};

use super::chunk_scores::ChunkScores;
use super::classifiers::Classifiers;
use super::earlier_counts::EarlierCounts;
use super::encoder_runner::EncoderRunner;
use super::features::Features;
use super::kept_scores::KeptScores;
use super::pending_items::{ItemTurn, PendingItems};
use super::reporter::Reporter;
use super::scorers::{ScoredTask, Scorers};
use crate::Error;
use crate::calls::{ScoredChunk, ScoredFrame};
use crate::cancel::CancelToken;
use crate::embeddings::Embeddings;
use crate::event::Event;
use crate::output::OutputError;
use crate::progress::Progress;
use crate::resume::Session;
use crate::runner::{LOOK_EVERY, RunnerItem};

/// Items that are written together.
const AT_ONCE: usize = 256;

/// Chunks that are scored together: their rows fit in a core's cache.
const SCORED_AT_ONCE: usize = 64;

/// A judged item, in input order.
pub(crate) enum ScoredItem {
    /// A record; its chunks follow.
    Record(Arc<Record>),
    /// The next chunk of the record.
    Chunk(ScoredChunk),
    /// The end of the record.
    End,
}

/// Takes embeddings from both models as they arrive, has each chunk scored once it has all of its embeddings,
/// and returns items in input order.
pub(super) struct PairingStage {
    // First: the models' threads end when the loader is dropped, and their runners wait for them.
    loader: FrameLoader,
    scorers: Scorers,
    runners: Pair<Option<EncoderRunner>>,
    pending: PendingItems,
    scores: KeptScores,
    reporter: Reporter,
    tally: PairingTally,
    /// Whether the loader has returned all its items.
    is_read: bool,
}

/// Counts of what is written.
#[derive(Default)]
struct PairingTally {
    open: RecordProgress,
    /// Records that are finished.
    records: u64,
    /// What an earlier run has scored of these.
    before: EarlierCounts,
}

/// Progress of the current record.
#[derive(Default)]
struct RecordProgress {
    weight: u64,
    /// Chunks that this run has scored.
    own: u64,
    /// Chunks that an earlier run has scored.
    before: u64,
}

impl PairingStage {
    /// Takes frames from `loader` and embeddings from `runners`, and starts the threads that score.
    ///
    /// # Errors
    ///
    /// Returns an error if the system starts no thread.
    pub(super) fn start(
        classifiers: &Classifiers,
        features: Features,
        runners: Pair<Option<EncoderRunner>>,
        loader: FrameLoader,
        mut scores: KeptScores,
    ) -> Result<Self, Error> {
        let widths = runners.as_ref().map(|runner| runner.as_ref().map_or(0, |runner| runner.width));
        let pending = PendingItems::new(features, widths, scores.take_embeddings(), scores.done());
        Ok(PairingStage {
            loader,
            scorers: Scorers::start(classifiers, features)?,
            runners,
            pending,
            scores,
            reporter: Reporter::new(),
            tally: PairingTally::default(),
            is_read: false,
        })
    }

    /// Returns the next items, after waiting for them and reporting progress meanwhile. Returns `None` at the
    /// end, and after `cancel` is cancelled once everything on the devices is scored.
    pub(super) fn next(
        &mut self,
        cancel: &CancelToken,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Option<Vec<ScoredItem>>, Error> {
        loop {
            if self.reporter.is_due() {
                self.report(on_event);
            }
            if cancel.is_cancelled() {
                return self.wind_up().map(|()| None);
            }
            if self.scores.is_due() {
                self.scores.keep_embeddings(self.pending.embeddings())?;
            }
            match self.take_done()? {
                done if !done.is_empty() => return Ok(Some(done)),
                _ if !self.is_read || !self.is_computed() || self.scorers.is_waiting() => self.receive()?,
                _ if self.pending.len() == 0 => return Ok(None),
                _ => return Err(Error::EmbeddingsMissing { places: self.pending.len() }),
            }
        }
    }

    /// Reports progress and the events of devices.
    pub(super) fn report(&mut self, on_event: &mut impl FnMut(Event)) {
        let models = self.runners.as_ref().zip(self.tokens()).into_iter();
        let models = models.filter_map(|(_, (runner, tokens))| Some(runner.as_ref()?.progress(tokens)));
        let (reading, frames) = (self.loader.progress(), self.loader.counters());
        let (records, judged) = (self.tally.records, self.pending.judged());
        let models: Vec<_> = models.collect();
        self.reporter.report(Progress::of_chunks(reading, records, judged, &frames, &models), on_event);
    }

    /// Returns the tokens for each model, without those in batches that no chunk needs any more.
    pub(super) fn tokens(&self) -> Pair<u64> {
        self.loader.batches().as_ref().map(|batches| {
            let counters = batches.as_ref().map(AsyncDataLoader::counters);
            counters.map_or(0, |counters| counters.tokens - counters.tokens_done)
        })
    }

    /// Returns the models that are needed.
    pub(super) fn runners(&self) -> &Pair<Option<EncoderRunner>> {
        &self.runners
    }

    /// Returns the loader of the frames.
    pub(super) fn loader(&self) -> &FrameLoader {
        &self.loader
    }

    /// Returns what an earlier run has scored of the written items.
    pub(super) fn before(&self) -> EarlierCounts {
        self.tally.before
    }

    /// Returns the time that the busiest scoring thread was at work.
    pub(super) fn scoring(&self) -> Duration {
        self.scorers.busy()
    }

    /// Returns the session that keeps the scores, after the models have finished.
    pub(super) fn finish(self) -> Session {
        self.scores.finish()
    }

    /// Keeps everything computed so far, because the run ends before its input. The models' threads end after
    /// that, as one of them may hang.
    pub(super) fn interrupt(mut self) -> Error {
        let kept = self.scores.keep_embeddings(self.pending.embeddings());
        kept.map_or_else(|error| error, |()| self.scores.finish().interrupt())
    }

    /// Keeps everything finished, because the run ends with `error`, and returns that. The models' threads
    /// end after that.
    pub(super) fn end_with(self, error: Error) -> Error {
        self.scores.finish().end_with(error)
    }

    /// Returns whether both models have returned all their results.
    fn is_computed(&self) -> bool {
        self.runners.present().all(|runner| runner.is_over)
    }

    /// Finishes what the devices hold, and scores the chunks that this completes.
    fn wind_up(&mut self) -> Result<(), Error> {
        while !self.is_computed() {
            self.receive()?;
        }
        while let Ok(items) = self.loader.items().try_recv() {
            items?.into_iter().for_each(|item| self.pending.admit(item));
        }
        self.score()?;
        while self.scorers.is_waiting() {
            let scored = self.scorers.receive()?;
            self.take_scores(scored)?;
        }
        Ok(())
    }

    /// Receives whatever is ready first, from the loader, a model or a scoring thread. Sends the chunks that
    /// this completes to be scored.
    fn receive(&mut self) -> Result<(), Error> {
        let (none, nothing) = (never(), never());
        let items = if self.is_read { &none } else { self.loader.items() };
        let mut select = Select::new();
        select.recv(items);
        select.recv(self.scorers.queue());
        // Embeddings wait on the devices while the scoring threads have enough to do.
        let is_full = self.scorers.is_full();
        for encoder in self.runners.present().filter(|_| !is_full) {
            select.recv(encoder.runner.queue().unwrap_or(&nothing));
        }
        // A runner must be polled now and then, even if no result is ready.
        let _ = select.ready_timeout(LOOK_EVERY);
        match items.try_recv() {
            Ok(items) => items?.into_iter().for_each(|item| self.pending.admit(item)),
            Err(error) => self.is_read |= error.is_disconnected(),
        }
        for (alphabet, encoder) in self.runners.as_mut() {
            let Some(encoder) = encoder.as_mut().filter(|_| !is_full) else { continue };
            match encoder.runner.poll() {
                // A frame is never too short or too long for its model: none is skipped.
                Poll::Ready(Some(Ok(RunnerItem::Embeddings(Embeddings { rows, values, .. })))) => {
                    self.pending.put(alphabet, rows.iter().map(|row| row.record), values);
                }
                Poll::Ready(Some(Ok(RunnerItem::Device(event)))) => self.reporter.note(event),
                Poll::Ready(Some(Err(error))) => return Err(error),
                Poll::Ready(None) => encoder.is_over = true,
                Poll::Pending => {}
            }
        }
        while let Some(scored) = self.scorers.poll()? {
            self.take_scores(scored)?;
        }
        self.score()
    }

    /// Sends chunks that have all their embeddings to be scored, in any order.
    fn score(&mut self) -> Result<(), Error> {
        let complete = self.pending.take_complete();
        complete.chunks(SCORED_AT_ONCE).try_for_each(|chunks| self.scorers.send(self.pending.task(chunks)))
    }

    /// Takes the scores of chunks and keeps them.
    fn take_scores(&mut self, ScoredTask { items, scores, .. }: ScoredTask) -> Result<(), Error> {
        self.scores.keep(self.pending.set_scores(&items, scores))
    }

    /// Returns the first items, as far as they are ready.
    fn take_done(&mut self) -> Result<Vec<ScoredItem>, OutputError> {
        let (mut done, tally) = (Vec::new(), &mut self.tally);
        while done.len() < AT_ONCE
            && let Some(turn) = self.pending.pop()
        {
            done.push(match turn {
                ItemTurn::Ready(FrameItem::Record(record), _) => {
                    tally.open = RecordProgress { weight: weight(&record), own: 0, before: 0 };
                    ScoredItem::Record(record)
                }
                ItemTurn::Ready(FrameItem::End, _) => {
                    tally.before.records += u64::from(tally.open.own == 0 && tally.open.before > 0);
                    self.loader.done(tally.open.weight);
                    tally.records += 1;
                    ScoredItem::End
                }
                ItemTurn::Ready(FrameItem::Chunk(chunk), scores) => {
                    let scores = scores.expect("a chunk has its turn when it is scored");
                    tally.open.own += u64::from(!scores.is_empty());
                    scored(chunk, scores)
                }
                ItemTurn::Kept(chunk) => {
                    tally.open.before += 1;
                    tally.before.add(&chunk);
                    let scores = self.scores.take(&chunk)?;
                    scored(chunk, scores)
                }
            });
        }
        Ok(done)
    }
}

/// Joins a chunk with its scores.
fn scored(
    Chunk { bases, frames, .. }: Chunk,
    ChunkScores { frames: scores, whole }: ChunkScores,
) -> ScoredItem {
    let frames = frames.into_iter().zip(scores);
    let frames =
        frames.map(|(frame, scores)| ScoredFrame { frame: frame.frame, codons: frame.codons, scores });
    ScoredItem::Chunk(ScoredChunk { bases, frames: frames.collect(), whole })
}
