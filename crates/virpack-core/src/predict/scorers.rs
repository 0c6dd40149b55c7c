//! The threads that score chunks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use virpack_seq::ThreadError;

use super::chunk_scores::ChunkScores;
use super::classifiers::Classifiers;
use super::embedding::Embedding;
use super::features::{ChunkFacts, FeatureRows, Features};
use crate::Error;
use crate::calls::Scores;

/// The most tasks in the queue; beyond it no embeddings are taken. A task is some 64 chunks.
const MOST_WAITING: usize = 64;

/// More threads would only wait: one thread scores some 300,000 chunks of the built-in model a second.
const MOST_THREADS: usize = 4;

const SCORING: &str = "scoring";

/// Chunks with all their embeddings.
#[derive(Debug, Default)]
pub(super) struct ScoringTask {
    /// The numbers of their items.
    pub(super) items: Vec<u64>,
    /// What their rows hold apart from embeddings.
    pub(super) facts: Vec<ChunkFacts>,
    /// The embeddings of each chunk, in the order of [`Features::sequences`].
    pub(super) embeddings: Vec<Embedding>,
}

/// Chunks with their scores.
#[derive(Debug)]
pub(super) struct ScoredTask {
    /// The numbers of their items.
    pub(super) items: Vec<u64>,
    pub(super) scores: Vec<ChunkScores>,
    /// Time that the thread has been at work so far.
    busy: Duration,
}

/// Threads that score chunks. They end when this is dropped.
pub(super) struct Scorers {
    to: Sender<ScoringTask>,
    from: Receiver<Result<ScoredTask, Error>>,
    /// Tasks whose results have not been taken.
    waiting: usize,
    busy: Duration,
}

impl Scorers {
    /// Starts the threads: half as many as cores, at most four.
    ///
    /// # Errors
    ///
    /// Returns an error if the system starts none.
    pub(super) fn start(classifiers: &Classifiers, features: Features) -> Result<Self, Error> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        // Neither queue is bounded, because one thread sends tasks and takes results. It sends few tasks
        // while `is_full`.
        let ((to, tasks), (results, from)) = (unbounded::<ScoringTask>(), unbounded());
        for number in 0..(cores / 2).clamp(1, MOST_THREADS) {
            let (tasks, results) = (tasks.clone(), results.clone());
            let scorer =
                Scorer { classifiers: classifiers.beside()?, features, rows: FeatureRows::default() };
            let started = thread::Builder::new()
                .name(SCORING.to_owned())
                .spawn(move || scorer.run(&tasks, &results))
                .map_err(|source| ThreadError::NotStarted { thread: SCORING, source });
            match started {
                // If the system starts no further thread, the started ones do its work.
                Err(_) if number > 0 => break,
                started => drop(started?),
            }
        }
        Ok(Scorers { to, from, waiting: 0, busy: Duration::ZERO })
    }

    /// Sends chunks to be scored.
    pub(super) fn send(&mut self, task: ScoringTask) -> Result<(), Error> {
        self.waiting += 1;
        self.to.send(task).map_err(|_| ended())
    }

    /// Returns whether results of a task are outstanding.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Returns whether the queue holds so many tasks that no more embeddings should be taken.
    pub(super) fn is_full(&self) -> bool {
        self.waiting >= MOST_WAITING
    }

    /// Returns the time that the busiest thread was at work.
    pub(super) fn busy(&self) -> Duration {
        self.busy
    }

    /// Returns the queue of results, to wait on together with others; [`Scorers::poll`] takes them.
    pub(super) fn queue(&self) -> &Receiver<Result<ScoredTask, Error>> {
        &self.from
    }

    /// Returns results that are ready, in any order.
    pub(super) fn poll(&mut self) -> Result<Option<ScoredTask>, Error> {
        match self.from.try_recv() {
            Ok(scored) => self.take(scored).map(Some),
            Err(error) if error.is_disconnected() => Err(ended()),
            Err(_) => Ok(None),
        }
    }

    /// Returns the next results, after waiting for them.
    pub(super) fn receive(&mut self) -> Result<ScoredTask, Error> {
        let scored = self.from.recv().unwrap_or_else(|_| Err(ended()));
        self.take(scored)
    }

    fn take(&mut self, scored: Result<ScoredTask, Error>) -> Result<ScoredTask, Error> {
        self.waiting = self.waiting.saturating_sub(1);
        let scored = scored?;
        self.busy = self.busy.max(scored.busy);
        Ok(scored)
    }
}

/// The error of threads that ended without one.
fn ended() -> Error {
    ThreadError::Panicked { thread: SCORING, message: None }.into()
}

/// One of the scoring threads.
struct Scorer {
    classifiers: Classifiers,
    features: Features,
    /// Memory that tasks reuse.
    rows: FeatureRows,
}

impl Scorer {
    fn run(mut self, tasks: &Receiver<ScoringTask>, results: &Sender<Result<ScoredTask, Error>>) {
        let mut busy = Duration::ZERO;
        for ScoringTask { items, facts, embeddings } in tasks {
            let start = Instant::now();
            let scored = catch_unwind(AssertUnwindSafe(|| self.score(&facts, &embeddings)))
                .unwrap_or_else(|panic| Err(ThreadError::panicked(SCORING, &*panic).into()));
            drop(embeddings);
            busy += start.elapsed();
            if results.send(scored.map(|scores| ScoredTask { items, scores, busy })).is_err() {
                // The run has ended.
                return;
            }
        }
    }

    fn score(&mut self, facts: &[ChunkFacts], embeddings: &[Embedding]) -> Result<Vec<ChunkScores>, Error> {
        self.rows.clear();
        let mut embeddings = embeddings;
        for facts in facts {
            let (own, others) = embeddings.split_at(facts.embeddings.min(embeddings.len()));
            self.features.add_rows(facts, own, &mut self.rows);
            embeddings = others;
        }
        let [of_frames, of_chunks] = self.classifiers.scores(&self.rows)?;
        let (mut of_frames, mut of_chunks) = (of_frames.into_iter(), of_chunks.into_iter());
        let scores = facts.iter().map(|facts| ChunkScores {
            frames: of_frames.by_ref().take(facts.frames).collect(),
            whole: of_chunks.by_ref().take(facts.whole.rows(facts.frames)).reduce(Scores::highest),
        });
        Ok(scores.collect())
    }
}
