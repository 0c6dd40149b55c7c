//! Where both models' embeddings of a frame meet, and become scores.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crossbeam_channel::{Select, never};
use virpack_seq::Record;
use virpack_seq::frames::{Chunk, FrameLoader, FramePlace, NUCLEOTIDES, PEPTIDES, Place, weight};

use super::Told;
use super::classifiers::Classifiers;
use super::summary::MODELS;
use super::vectors::Vectors;
use super::verdict::{ScoredChunk, ScoredFrame, higher};
use crate::Error;
use crate::progress::{ModelProgress, Progress};
use crate::runner::{AsyncInferenceRunner, Finished, LOOK_EVERY};

/// Frames and chunks that are scored at once.
const AT_ONCE: usize = 1_024;

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
    /// Most tokens in a batch.
    pub(super) token_budget: usize,
    /// Its devices, for people.
    pub(super) names: Vec<String>,
}

/// Takes embeddings from both models as they come and gives what is done in input order.
pub(super) struct Join<'a> {
    // First: the models' threads end when the frames do, and their runners wait for them.
    frames: FrameLoader,
    classifiers: &'a Classifiers,
    towers: [Option<RunningTower>; 2],
    vectors: [Vectors; 2],
    waiting: VecDeque<Place>,
    /// What the record weighs whose chunks come.
    weight: u64,
    /// What has ended: the places, and the results of each model.
    ended: [bool; 3],
    /// Time spent on scores.
    scoring: Duration,
    /// What has happened to the devices, to be told.
    told: Vec<Told>,
}

impl<'a> Join<'a> {
    pub(super) fn new(
        classifiers: &'a Classifiers,
        towers: [Option<RunningTower>; 2],
        frames: FrameLoader,
    ) -> Self {
        let vectors = [0, 1].map(|i| Vectors::new(towers[i].as_ref().map_or(0, |tower| tower.width)));
        let ended = [false, towers[0].is_none(), towers[1].is_none()];
        Join {
            frames,
            classifiers,
            towers,
            vectors,
            waiting: VecDeque::new(),
            weight: 0,
            ended,
            scoring: Duration::ZERO,
            told: Vec::new(),
        }
    }

    /// What is done next; waits for it. Nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Done>>, Error> {
        loop {
            match self.ready() {
                0 if self.ended == [true; 3] && self.waiting.is_empty() => return Ok(None),
                0 if self.ended == [true; 3] => {
                    return Err(Error::EmbeddingsMissing { places: self.waiting.len() });
                }
                0 => self.receive()?,
                places => return self.score(places).map(Some),
            }
        }
    }

    /// Tells how far the run is, and what has happened.
    pub(super) fn tell(&mut self, records: u64, tell: &mut impl FnMut(Told)) {
        self.told.drain(..).for_each(&mut *tell);
        let progress = |(i, tower): (usize, &RunningTower)| ModelProgress {
            model: Some(MODELS[i]),
            tokens: self.frames.tower(i).map_or(0, |frames| frames.counters().tokens),
            token_budget: tower.token_budget,
            tallies: tower.runner.tallies(),
        };
        let models: Vec<_> = self.running().map(progress).collect();
        tell(Told::Progress(Progress::new(self.frames.progress(), records, &models)));
    }

    /// The models that take part, and their places.
    pub(super) fn running(&self) -> impl Iterator<Item = (usize, &RunningTower)> {
        self.towers.iter().enumerate().filter_map(|(i, tower)| Some((i, tower.as_ref()?)))
    }

    /// What it takes its frames from.
    pub(super) fn frames(&self) -> &FrameLoader {
        &self.frames
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

    /// How many of the first places have all their embeddings.
    fn ready(&self) -> usize {
        let mut frames = 0;
        let ready = self.waiting.iter().take_while(|place| {
            let Place::Chunk(chunk) = place else { return frames < AT_ONCE };
            frames += chunk.frames.len() + 2 * usize::from(chunk.strands.is_some());
            frames <= AT_ONCE && self.is_ready(chunk)
        });
        ready.count()
    }

    fn is_ready(&self, chunk: &Chunk) -> bool {
        let there = |i: usize, number: u64| self.vectors[i].get(number).is_some();
        let frame_is = |frame: &FramePlace| {
            [NUCLEOTIDES, PEPTIDES]
                .into_iter()
                .all(|i| !self.classifiers.takes()[i] || there(i, frame.sequences[i]))
        };
        let of_strands = chunk.strands.iter().flatten();
        chunk.frames.iter().all(frame_is) && of_strands.into_iter().all(|&number| there(NUCLEOTIDES, number))
    }

    /// Takes whatever comes first, from the reading side or from a model.
    fn receive(&mut self) -> Result<(), Error> {
        let (none, nothing) = (never(), never());
        let places = if self.ended[0] { &none } else { self.frames.places() };
        let mut select = Select::new();
        select.recv(places);
        for tower in &self.towers {
            select.recv(tower.as_ref().and_then(|tower| tower.runner.queue()).unwrap_or(&nothing));
        }
        // A runner wants to be asked now and then, whether anything has come or not.
        let _ = select.ready_timeout(LOOK_EVERY);
        match places.try_recv() {
            Ok(places) => self.waiting.extend(places?),
            Err(error) => self.ended[0] |= error.is_disconnected(),
        }
        for tower in [NUCLEOTIDES, PEPTIDES] {
            let Some(running) = &mut self.towers[tower] else { continue };
            match running.runner.poll() {
                Poll::Ready(Some(finished)) => self.keep(tower, finished?),
                Poll::Ready(None) => self.ended[tower + 1] = true,
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    fn keep(&mut self, tower: usize, finished: Finished) {
        match finished {
            Finished::Embeddings { rows, values } => {
                let vectors = &mut self.vectors[tower];
                for (row, embedding) in rows.iter().zip(values.chunks_exact(vectors.width())) {
                    vectors.put(row.record, embedding);
                }
            }
            // A frame is never too short or too long for its model, and frames are pooled.
            Finished::Skipped(_) | Finished::Residues { .. } => {}
            Finished::Halved { token_budget, reason } => {
                self.told.push(Told::Halved { token_budget, reason });
            }
            Finished::Lost { device, reason } => self.told.push(Told::Lost { device, reason }),
        }
    }

    /// Scores the frames and chunks of the first places, which are ready.
    fn score(&mut self, places: usize) -> Result<Vec<Done>, Error> {
        let start = Instant::now();
        let (mut frames, mut strands) = (Vec::new(), Vec::new());
        for place in self.waiting.iter().take(places) {
            let Place::Chunk(chunk) = place else { continue };
            for frame in &chunk.frames {
                for (i, vectors) in
                    self.vectors.iter().enumerate().filter(|(i, _)| self.classifiers.takes()[*i])
                {
                    frames.extend_from_slice(vectors.get(frame.sequences[i]).unwrap_or_default());
                }
            }
            for &number in chunk.strands.iter().flatten() {
                strands.extend_from_slice(self.vectors[NUCLEOTIDES].get(number).unwrap_or_default());
            }
        }
        let mut scores = self.classifiers.scores(&frames, &strands)?.map(Vec::into_iter);
        let waiting: Vec<Place> = self.waiting.drain(..places).collect();
        let done = waiting.into_iter().map(|place| self.done(place, &mut scores)).collect();
        self.scoring += start.elapsed();
        Ok(done)
    }

    /// What is done at a place, with the next of the scores of frames and of strands.
    fn done(&mut self, place: Place, scores: &mut [impl Iterator<Item = [f32; 2]>; 2]) -> Done {
        let [of_frames, of_strands] = scores;
        match place {
            Place::Record(record) => {
                self.weight = weight(&record);
                Done::Record(record)
            }
            Place::End => {
                self.frames.done(self.weight);
                Done::End
            }
            Place::Chunk(Chunk { bases, frames, strands, oldest }) => {
                for (vectors, oldest) in self.vectors.iter_mut().zip(oldest) {
                    vectors.forget(oldest);
                }
                let frames = frames.into_iter().zip(of_frames);
                let frames = frames.map(|(place, scores)| ScoredFrame {
                    frame: place.frame,
                    codons: place.codons,
                    scores,
                });
                let strands = strands.into_iter().flatten().zip(of_strands).map(|(_, scores)| scores);
                let strands = strands.reduce(higher);
                Done::Chunk(ScoredChunk { bases, frames: frames.collect(), strands })
            }
        }
    }
}
