//! Where both models' embeddings of a frame meet, and become scores.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, never};
use virpack_seq::frames::{Chunk, FrameLoader, Place};
use virpack_seq::{Record, SeqError};

use super::Told;
use super::vectors::Vectors;
use super::verdict::{ScoredChunk, ScoredFrame};
use crate::Error;
use crate::classifier::Classifier;
use crate::embed::Progress;
use crate::runner::{AsyncInferenceRunner, Finished};

/// Frames that are scored at once.
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
}

/// Takes embeddings from both models as they come and gives what is done in input order.
pub(super) struct Join<'a> {
    // First: the models' threads end when the frames do, and their runners wait for them.
    frames: FrameLoader,
    classifier: &'a Classifier,
    towers: [Option<RunningTower>; 2],
    vectors: [Vectors; 2],
    waiting: VecDeque<Place>,
    /// Bases of the record whose chunks come.
    bases: u64,
    /// What has ended: the places, and the results of each model.
    ended: [bool; 3],
    /// Time spent on scores.
    scoring: Duration,
    /// What the devices had no room for, to be told.
    halved: Vec<Told>,
}

impl<'a> Join<'a> {
    pub(super) fn new(
        classifier: &'a Classifier,
        towers: [Option<RunningTower>; 2],
        frames: FrameLoader,
    ) -> Self {
        let vectors = [0, 1].map(|i| Vectors::new(towers[i].as_ref().map_or(0, |tower| tower.width)));
        let ended = [false, towers[0].is_none(), towers[1].is_none()];
        Join {
            frames,
            classifier,
            towers,
            vectors,
            waiting: VecDeque::new(),
            bases: 0,
            ended,
            scoring: Duration::ZERO,
            halved: Vec::new(),
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
        self.halved.drain(..).for_each(&mut *tell);
        let read = self.frames.progress();
        let (bytes, total_bytes) = (read.bytes(), read.total_bytes());
        tell(Told::Progress(Progress { bytes, total_bytes, records }));
    }

    /// What it takes its frames from.
    pub(super) fn frames(&self) -> &FrameLoader {
        &self.frames
    }

    /// Time that each model's device computed.
    pub(super) fn busy(&self) -> [Duration; 2] {
        let busy = |tower: &Option<RunningTower>| tower.as_ref().map_or(Duration::ZERO, |t| t.runner.busy());
        [busy(&self.towers[0]), busy(&self.towers[1])]
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
            frames += chunk.frames.len();
            frames <= AT_ONCE && self.is_ready(chunk)
        });
        ready.count()
    }

    fn is_ready(&self, chunk: &Chunk) -> bool {
        let there = |i: usize, number: u64| self.towers[i].is_none() || self.vectors[i].get(number).is_some();
        chunk.frames.iter().all(|frame| there(0, frame.sequences[0]) && there(1, frame.sequences[1]))
    }

    /// Takes whatever comes first, from the reading side or from a model.
    fn receive(&mut self) -> Result<(), Error> {
        let (none, nothing) = (never(), never());
        let places: &Receiver<Result<Vec<Place>, SeqError>> =
            if self.ended[0] { &none } else { self.frames.places() };
        let results = [0, 1].map(|i| match &self.towers[i] {
            Some(tower) if !self.ended[i + 1] => tower.runner.results(),
            _ => &nothing,
        });
        let mut select = Select::new();
        select.recv(places);
        results.iter().for_each(|results| _ = select.recv(results));
        let come = select.select();
        let from = come.index();
        if from == 0 {
            match come.recv(places) {
                Ok(places) => self.waiting.extend(places?),
                Err(_) => self.ended[0] = true,
            }
            return Ok(());
        }
        match come.recv(results[from - 1]) {
            Ok(finished) => self.keep(from - 1, finished?),
            Err(_) => self.ended[from] = true,
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
            // A frame is never too short or too long for its model.
            Finished::Skipped(_) => {}
            Finished::Halved { token_budget, reason } => {
                self.halved.push(Told::Halved { token_budget, reason })
            }
        }
    }

    /// Scores the frames of the first places, which are ready.
    fn score(&mut self, places: usize) -> Result<Vec<Done>, Error> {
        let start = Instant::now();
        let mut features = Vec::new();
        for place in self.waiting.iter().take(places) {
            let Place::Chunk(chunk) = place else { continue };
            for frame in &chunk.frames {
                for (vectors, &number) in self.vectors.iter().zip(&frame.sequences) {
                    // A model that takes no part has an empty embedding.
                    features.extend_from_slice(vectors.get(number).unwrap_or_default());
                }
            }
        }
        let mut scores = self.classifier.scores(&features)?.into_iter();
        let waiting: Vec<Place> = self.waiting.drain(..places).collect();
        let done = waiting.into_iter().map(|place| self.done(place, &mut scores)).collect();
        self.scoring += start.elapsed();
        Ok(done)
    }

    fn done(&mut self, place: Place, scores: &mut impl Iterator<Item = [f32; 2]>) -> Done {
        match place {
            Place::Record(record) => {
                self.bases = record.sequence.len() as u64;
                Done::Record(record)
            }
            Place::End => {
                self.frames.done(self.bases);
                Done::End
            }
            Place::Chunk(Chunk { bases, frames, oldest }) => {
                for (vectors, oldest) in self.vectors.iter_mut().zip(oldest) {
                    vectors.forget(oldest);
                }
                let frames = frames.into_iter().zip(scores);
                let frames = frames.map(|(place, scores)| ScoredFrame {
                    frame: place.frame,
                    codons: place.codons,
                    scores,
                });
                Done::Chunk(ScoredChunk { bases, frames: frames.collect() })
            }
        }
    }
}
