//! Places that wait for their turn, and chunks among them that wait for their embeddings.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use virpack_seq::IndexSet;
use virpack_seq::frames::{Chunk, FrameItem, NUCLEOTIDES, PROTEINS};

use super::scores::Scores;
use super::vectors::Vectors;
use super::verdict::higher;
use crate::progress::ChunkProgress;

/// Places in input order, from the first that is not written, and the embeddings that their chunks take.
pub(super) struct WaitingPlaces {
    /// Whose embeddings of a frame are taken.
    takes: [bool; 2],
    vectors: [Vectors; 2],
    places: VecDeque<WaitingPlace>,
    /// How many places came before the first that waits: those that wait are known by their places among all.
    written: u64,
    /// Chunks that have all their embeddings.
    complete: Vec<u64>,
    /// Chunks whose scores an earlier run has kept.
    done: Arc<IndexSet>,
    /// Where the chunk before ends in the record whose places come.
    end: usize,
    /// Chunks that have their scores.
    judged: ChunkProgress,
}

/// A place, and how far its chunk is.
struct WaitingPlace {
    place: FrameItem,
    /// Bases of its chunk that the one before does not have.
    own: u64,
    /// Embeddings that are still to come.
    missing: usize,
    scores: Option<Scores>,
}

/// A place whose turn has come.
pub(super) enum PlaceTurn {
    /// Its chunk has these scores, or it is none.
    Ready(FrameItem, Option<Scores>),
    /// A chunk whose scores an earlier run has kept.
    Kept(Chunk),
}

impl WaitingPlaces {
    /// For models that give embeddings of these widths, where an earlier run has kept some, and the scores of chunks that
    /// are `done`.
    pub(super) fn new(
        takes: [bool; 2],
        widths: [usize; 2],
        embeddings: [HashMap<u64, Arc<[f32]>>; 2],
        done: Arc<IndexSet>,
    ) -> Self {
        let mut widths = widths.into_iter();
        let vectors = embeddings.map(|earlier| Vectors::new(widths.next().unwrap_or(0), earlier));
        WaitingPlaces {
            takes,
            vectors,
            places: VecDeque::new(),
            written: 0,
            complete: Vec::new(),
            done,
            end: 0,
            judged: ChunkProgress::default(),
        }
    }

    /// Chunks that have their scores, in whatever order they got them.
    pub(super) fn judged(&self) -> ChunkProgress {
        self.judged
    }

    /// Places that wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Lets a place wait for its turn, and its chunk for the embeddings that have not come.
    pub(super) fn admit(&mut self, place: FrameItem) {
        let number = self.written + self.places.len() as u64;
        let mut missing = 0;
        let own = self.own_bases(&place);
        if let FrameItem::Chunk(chunk) = &place {
            if self.done.contains(chunk.number) {
                self.judge(own);
            } else {
                let sequences = sequences(chunk, self.takes);
                missing =
                    sequences.filter(|&(i, sequence)| !self.vectors[i].is_there(sequence, number)).count();
                self.complete.extend((missing == 0).then_some(number));
            }
        }
        self.places.push_back(WaitingPlace { place, own, missing, scores: None });
    }

    /// Takes the embeddings of a model, `[sequences, width]`, with the numbers of their sequences.
    pub(super) fn put(&mut self, model: usize, sequences: impl Iterator<Item = u64>, values: &[f32]) {
        let vectors = &mut self.vectors[model];
        for (sequence, embedding) in sequences.zip(values.chunks_exact(vectors.width())) {
            for number in vectors.put(sequence, embedding) {
                let waits = &mut self.places[(number - self.written) as usize];
                waits.missing -= 1;
                self.complete.extend((waits.missing == 0).then_some(number));
            }
        }
    }

    /// All embeddings that chunks may still take, each with its model and the number of its sequence.
    pub(super) fn embeddings(&self) -> impl Iterator<Item = (usize, u64, &Arc<[f32]>)> {
        let both = self.vectors.iter().enumerate();
        both.flat_map(|(i, vectors)| vectors.all().map(move |(number, embedding)| (i, number, embedding)))
    }

    /// Chunks that have all their embeddings and no scores yet; each is given once.
    pub(super) fn take_complete(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.complete)
    }

    /// What the classifiers take of chunks: of their frames, and of their strands.
    pub(super) fn features(&self, chunks: &[u64]) -> [Vec<f32>; 2] {
        let (mut frames, mut strands) = (Vec::new(), Vec::new());
        for chunk in chunks.iter().filter_map(|number| self.chunk(*number)) {
            let features = if chunk.strands.is_some() { &mut strands } else { &mut frames };
            for (i, sequence) in sequences(chunk, self.takes) {
                features.extend_from_slice(self.vectors[i].get(sequence).unwrap_or_default());
            }
        }
        [frames, strands]
    }

    /// Gives chunks the next of the scores of frames and of strands; hands back those that the classifiers have scored, by
    /// their numbers among chunks.
    pub(super) fn set_scores(
        &mut self,
        chunks: &[u64],
        [of_frames, of_strands]: [Vec<[f32; 2]>; 2],
    ) -> Vec<(u64, Scores)> {
        let (mut of_frames, mut of_strands) = (of_frames.into_iter(), of_strands.into_iter());
        let mut scored = Vec::with_capacity(chunks.len());
        for number in chunks {
            let Some(chunk) = self.chunk(*number) else { continue };
            let frames: Vec<_> = of_frames.by_ref().take(chunk.frames.len()).collect();
            let strands = chunk.strands.and_then(|both| of_strands.by_ref().take(both.len()).reduce(higher));
            let scores = Scores { frames, strands };
            if !scores.is_empty() {
                scored.push((chunk.number, scores.clone()));
            }
            let waits = &mut self.places[(number - self.written) as usize];
            waits.scores = Some(scores);
            let own = waits.own;
            self.judge(own);
        }
        scored
    }

    /// The first place, if its turn has come.
    pub(super) fn pop(&mut self) -> Option<PlaceTurn> {
        let first = self.places.front()?;
        let is_kept = match &first.place {
            FrameItem::Chunk(chunk) if self.done.contains(chunk.number) => true,
            FrameItem::Chunk(_) if first.scores.is_none() => return None,
            _ => false,
        };
        let WaitingPlace { place, scores, .. } = self.places.pop_front()?;
        self.written += 1;
        if let FrameItem::Chunk(Chunk { oldest, .. }) = place {
            for (vectors, oldest) in self.vectors.iter_mut().zip(oldest) {
                vectors.forget(oldest);
            }
        }
        Some(match place {
            FrameItem::Chunk(chunk) if is_kept => PlaceTurn::Kept(chunk),
            place => PlaceTurn::Ready(place, scores),
        })
    }

    fn judge(&mut self, bases: u64) {
        self.judged.chunks += 1;
        self.judged.bases += bases;
    }

    /// Bases of a chunk that the one before it in its record does not have.
    fn own_bases(&mut self, place: &FrameItem) -> u64 {
        let before = self.end;
        self.end = match place {
            FrameItem::Chunk(chunk) => chunk.bases.end,
            FrameItem::Record(_) | FrameItem::End => 0,
        };
        self.end.saturating_sub(before) as u64
    }

    /// The chunk at a place.
    fn chunk(&self, number: u64) -> Option<&Chunk> {
        match &self.places.get((number - self.written) as usize)?.place {
            FrameItem::Chunk(chunk) => Some(chunk),
            FrameItem::Record(_) | FrameItem::End => None,
        }
    }
}

/// The sequences whose embeddings a chunk's scores take, each with its model, in the order in which a classifier takes
/// them; `takes` says whose embeddings of a frame it does.
fn sequences(chunk: &Chunk, takes: [bool; 2]) -> impl Iterator<Item = (usize, u64)> {
    let of_frames = chunk.frames.iter().flat_map(move |frame| {
        let taken = [NUCLEOTIDES, PROTEINS].into_iter().filter(move |&i| takes[i]);
        taken.map(|i| (i, frame.sequences[i]))
    });
    of_frames.chain(chunk.strands.into_iter().flatten().map(|number| (NUCLEOTIDES, number)))
}

#[cfg(test)]
mod tests {
    use virpack_seq::Frame;
    use virpack_seq::frames::ChunkFrame;

    use super::*;

    fn chunk(number: u64, sequences: &[[u64; 2]]) -> FrameItem {
        let frame = |&sequences| ChunkFrame { frame: Frame::F1, codons: 0..3, sequences };
        let frames = sequences.iter().map(frame).collect();
        FrameItem::Chunk(Chunk { number, bases: 0..3, frames, strands: None, oldest: [0; 2] })
    }

    fn scored(waiting: &mut WaitingPlaces) -> Vec<u64> {
        let complete = waiting.take_complete();
        let [frames, strands] = waiting.features(&complete);
        assert!(strands.is_empty());
        // The classifier adds up.
        let sums = frames.chunks_exact(2).map(|both| [both[0], both[1]]).collect();
        waiting.set_scores(&complete, [sums, Vec::new()]).into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn chunks_are_scored_when_they_can_be_and_written_in_their_turn() {
        let mut done = IndexSet::default();
        done.insert(2);
        let mut waiting = WaitingPlaces::new([true; 2], [1; 2], Default::default(), Arc::new(done));
        // The second shares its peptide with the first, the third is done, the fourth holds nothing.
        let sequences: [&[[u64; 2]]; 4] = [&[[0, 0], [1, 1]], &[[2, 1]], &[[3, 2]], &[]];
        (0..).zip(sequences).for_each(|(number, sequences)| waiting.admit(chunk(number, sequences)));
        assert_eq!(scored(&mut waiting), [0; 0], "nothing is in it to be kept");
        waiting.put(PROTEINS, [1, 2].into_iter(), &[10.0, 20.0]);
        waiting.put(NUCLEOTIDES, [2, 1].into_iter(), &[2.0, 1.0]);
        assert_eq!(scored(&mut waiting), [1], "whatever came before it");
        assert!(waiting.pop().is_none(), "it is not its turn");
        waiting.put(NUCLEOTIDES, [0, 3].into_iter(), &[0.5, 3.0]);
        waiting.put(PROTEINS, [0].into_iter(), &[5.0]);
        assert_eq!(scored(&mut waiting), [0]);
        let mut turns = Vec::new();
        while let Some(turn) = waiting.pop() {
            turns.push(match turn {
                PlaceTurn::Ready(_, scores) => scores.map(|scores| scores.frames),
                PlaceTurn::Kept(chunk) => {
                    assert_eq!(chunk.number, 2);
                    None
                }
            });
        }
        let expected = [Some(vec![[0.5, 5.0], [1.0, 10.0]]), Some(vec![[2.0, 10.0]]), None, Some(Vec::new())];
        assert_eq!((turns, waiting.len()), (expected.to_vec(), 0));
    }
}
