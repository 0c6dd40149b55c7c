//! Where both models' embeddings of a frame meet, and become scores.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crossbeam_channel::{Select, never};
use virpack_seq::Record;
use virpack_seq::frames::{Chunk, FrameItem, FrameLoader, NUCLEOTIDES, PROTEINS, weight};

use super::classifiers::Classifiers;
use super::scores::{KeptScores, Scores};
use super::summary::{Before, MODELS};
use super::verdict::{ScoredChunk, ScoredFrame};
use super::waiting::{PlaceTurn, WaitingPlaces};
use crate::Error;
use crate::cancel::CancelToken;
use crate::event::Event;
use crate::output::OutputError;
use crate::progress::{ModelProgress, Progress};
use crate::runner::{AsyncInferenceRunner, BatchRows, DeviceEvent, LOOK_EVERY, RunnerItem};

/// Chunks that are scored at once, and places that are written at once.
const AT_ONCE: usize = 256;

/// How often it is told how far the run is: a bar moves, and nothing is measured by it.
const TELL_EVERY: Duration = LOOK_EVERY;

/// What is done, in input order.
pub(super) enum Done {
    /// A record; its chunks follow.
    Record(Arc<Record>),
    /// The next chunk of the record.
    Chunk(ScoredChunk),
    /// The record is over.
    End,
}

/// One model at work.
pub(super) struct RunningTower {
    pub(super) runner: AsyncInferenceRunner,
    /// Width of its embeddings.
    pub(super) width: usize,
    /// Work of a token, beside one of the other model.
    pub(super) cost: f64,
    /// Most tokens in a batch.
    pub(super) token_budget: usize,
    /// Its devices, for people.
    pub(super) names: Vec<String>,
}

/// Takes embeddings from both models as they come, scores what has all of its own, and gives what is done in input order.
pub(super) struct Join<'a> {
    // First: the models' threads end when the frames do, and their runners wait for them.
    frames: FrameLoader,
    classifiers: &'a Classifiers,
    towers: [Option<RunningTower>; 2],
    waiting: WaitingPlaces,
    scores: KeptScores,
    open: RecordProgress,
    before: Before,
    /// What has ended: the places, and the results of each model.
    ended: [bool; 3],
    /// Once cancelled, what the devices hold is finished, and nothing more is done.
    cancel: &'a CancelToken,
    /// Time spent on scores.
    scoring: Duration,
    /// What has happened to the devices, to be told.
    told: Vec<DeviceEvent>,
    /// When it was told how far the run is.
    told_at: Instant,
    /// The largest share of the work that was told: it never shrinks.
    done: f64,
    /// Records that are over.
    records: u64,
}

/// The record whose chunks come.
#[derive(Default)]
struct RecordProgress {
    weight: u64,
    /// Chunks that this run has scored.
    own: u64,
    /// Chunks that an earlier run has scored.
    before: u64,
}

impl<'a> Join<'a> {
    pub(super) fn new(
        classifiers: &'a Classifiers,
        towers: [Option<RunningTower>; 2],
        frames: FrameLoader,
        mut scores: KeptScores,
        cancel: &'a CancelToken,
    ) -> Self {
        let widths = [0, 1].map(|i| towers[i].as_ref().map_or(0, |tower| tower.width));
        let ended = [false, towers[0].is_none(), towers[1].is_none()];
        Join {
            frames,
            classifiers,
            towers,
            waiting: WaitingPlaces::new(classifiers.takes(), widths, scores.take_embeddings(), scores.done()),
            scores,
            open: RecordProgress::default(),
            before: Before::default(),
            ended,
            cancel,
            scoring: Duration::ZERO,
            told: Vec::new(),
            told_at: Instant::now(),
            done: 0.0,
            records: 0,
        }
    }

    /// What is done next; waits for it, and tells meanwhile how far the run is. Nothing at the end, and once the run is told to stop and what the devices held
    /// is scored.
    pub(super) fn next(&mut self, tell: &mut impl FnMut(Event)) -> Result<Option<Vec<Done>>, Error> {
        loop {
            if !self.told.is_empty() || self.told_at.elapsed() >= TELL_EVERY {
                self.tell(tell);
            }
            if self.cancel.is_cancelled() {
                return self.wind_up().map(|()| None);
            }
            if self.scores.is_due() {
                self.scores.keep_embeddings(self.waiting.embeddings())?;
            }
            match self.take_done()? {
                done if !done.is_empty() => return Ok(Some(done)),
                _ if self.ended != [true; 3] => self.receive()?,
                _ if self.waiting.len() == 0 => return Ok(None),
                _ => return Err(Error::EmbeddingsMissing { places: self.waiting.len() }),
            }
        }
    }

    /// Tells how far the run is, and what has happened.
    pub(super) fn tell(&mut self, tell: &mut impl FnMut(Event)) {
        self.told_at = Instant::now();
        self.told.drain(..).map(Event::Device).for_each(&mut *tell);
        let progress = |(i, tower): (usize, &RunningTower)| ModelProgress {
            model: Some(MODELS[i]),
            tokens: self.tokens(i),
            cost: tower.cost,
            token_budget: tower.token_budget,
            tallies: tower.runner.tallies(),
        };
        let models: Vec<_> = self.running().map(progress).collect();
        let (read, judged, frames) = (self.frames.progress(), self.waiting.judged(), self.frames.counters());
        let mut progress = Progress::of_chunks(read, self.records, judged, &frames, &models);
        // What comes is estimated, and may turn out to be more.
        self.done = self.done.max(progress.done.unwrap_or(0.0));
        progress.done = progress.done.map(|_| self.done);
        tell(Event::Progress(progress));
    }

    /// Tokens for a model but for those in batches that nobody needs any more.
    pub(super) fn tokens(&self, tower: usize) -> u64 {
        let counters = self.frames.batches(tower).map(|frames| frames.counters());
        counters.map_or(0, |counters| counters.tokens - counters.tokens_done)
    }

    /// The models that take part, and their places.
    pub(super) fn running(&self) -> impl Iterator<Item = (usize, &RunningTower)> {
        self.towers.iter().enumerate().filter_map(|(i, tower)| Some((i, tower.as_ref()?)))
    }

    /// What it takes its frames from.
    pub(super) fn frames(&self) -> &FrameLoader {
        &self.frames
    }

    /// What an earlier run has scored of what is done.
    pub(super) fn before(&self) -> Before {
        self.before
    }

    /// Time that each model's devices computed, the mean over the devices.
    pub(super) fn busy(&self) -> [Duration; 2] {
        [0, 1].map(|i| {
            let tallies = self.towers[i].as_ref().map(|tower| tower.runner.tallies()).unwrap_or_default();
            tallies.iter().map(|tally| tally.busy).sum::<Duration>() / tallies.len().max(1) as u32
        })
    }

    /// Time spent on scores.
    pub(super) fn scoring(&self) -> Duration {
        self.scoring
    }

    /// The scores that are kept, now that the models have nothing more to do.
    pub(super) fn finish(self) -> KeptScores {
        self.scores
    }

    /// Makes all that is computed safe, as the run ends before its input.
    pub(super) fn interrupt(mut self) -> Error {
        let kept = self.scores.keep_embeddings(self.waiting.embeddings());
        kept.map_or_else(|error| error, |()| self.finish().interrupt())
    }

    /// Finishes what the devices hold, and scores what that completes.
    fn wind_up(&mut self) -> Result<(), Error> {
        while self.ended[1..] != [true; 2] {
            self.receive()?;
        }
        while let Ok(places) = self.frames.items().try_recv() {
            places?.into_iter().for_each(|place| self.waiting.admit(place));
        }
        self.score()
    }

    /// Takes whatever comes first, from the reading side or from a model, and scores what that completes.
    fn receive(&mut self) -> Result<(), Error> {
        let (none, nothing) = (never(), never());
        let places = if self.ended[0] { &none } else { self.frames.items() };
        let mut select = Select::new();
        select.recv(places);
        for tower in &self.towers {
            select.recv(tower.as_ref().and_then(|tower| tower.runner.queue()).unwrap_or(&nothing));
        }
        // A runner wants to be asked now and then, whether anything has come or not.
        let _ = select.ready_timeout(LOOK_EVERY);
        match places.try_recv() {
            Ok(places) => places?.into_iter().for_each(|place| self.waiting.admit(place)),
            Err(error) => self.ended[0] |= error.is_disconnected(),
        }
        for tower in [NUCLEOTIDES, PROTEINS] {
            let Some(running) = &mut self.towers[tower] else { continue };
            match running.runner.poll() {
                Poll::Ready(Some(finished)) => self.keep(tower, finished?),
                Poll::Ready(None) => self.ended[tower + 1] = true,
                Poll::Pending => {}
            }
        }
        self.score()
    }

    fn keep(&mut self, tower: usize, item: RunnerItem) {
        match item {
            RunnerItem::Rows(BatchRows::Embeddings { rows, values }) => {
                self.waiting.put(tower, rows.iter().map(|row| row.record), &values);
            }
            // A frame is never too short or too long for its model, and frames are pooled.
            RunnerItem::Rows(BatchRows::Skipped(_) | BatchRows::Residues { .. }) => {}
            RunnerItem::Device(event) => self.told.push(event),
        }
    }

    /// Scores the chunks that have all they need, whatever came before them: what is scored is kept.
    fn score(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        for complete in self.waiting.take_complete().chunks(AT_ONCE) {
            let [frames, strands] = self.waiting.features(complete);
            let scores = self.classifiers.scores(&frames, &strands)?;
            self.scores.keep(self.waiting.set_scores(complete, scores))?;
        }
        self.scoring += start.elapsed();
        Ok(())
    }

    /// The first places, as far as their turn has come.
    fn take_done(&mut self) -> Result<Vec<Done>, OutputError> {
        let mut done = Vec::new();
        while done.len() < AT_ONCE
            && let Some(turn) = self.waiting.pop()
        {
            done.push(match turn {
                PlaceTurn::Ready(FrameItem::Record(record), _) => {
                    self.open = RecordProgress { weight: weight(&record), own: 0, before: 0 };
                    Done::Record(record)
                }
                PlaceTurn::Ready(FrameItem::End, _) => {
                    self.before.records += u64::from(self.open.own == 0 && self.open.before > 0);
                    self.frames.done(self.open.weight);
                    self.records += 1;
                    Done::End
                }
                PlaceTurn::Ready(FrameItem::Chunk(chunk), scores) => {
                    let scores = scores.expect("a chunk has its turn when it is scored");
                    self.open.own += u64::from(!scores.is_empty());
                    scored(chunk, scores)
                }
                PlaceTurn::Kept(chunk) => {
                    self.open.before += 1;
                    self.before.add(&chunk);
                    let scores = self.scores.take(&chunk)?;
                    scored(chunk, scores)
                }
            });
        }
        Ok(done)
    }
}

/// A chunk with its scores.
fn scored(Chunk { bases, frames, .. }: Chunk, Scores { frames: scores, strands }: Scores) -> Done {
    let frames = frames.into_iter().zip(scores);
    let frames =
        frames.map(|(place, scores)| ScoredFrame { frame: place.frame, codons: place.codons, scores });
    Done::Chunk(ScoredChunk { bases, frames: frames.collect(), strands })
}
