//! Items of a frame loader that wait for their turn, and chunks that wait for their embeddings.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use virpack_seq::frames::{Chunk, FrameItem, Pair};
use virpack_seq::{Alphabet, IndexSet};

use super::chunk_scores::ChunkScores;
use super::embedding::Embedding;
use super::features::{ChunkFacts, Features, WholeFacts};
use super::scorers::ScoringTask;
use super::vectors::Vectors;
use crate::progress::ChunkProgress;

/// Unwritten items in input order, and the embeddings that their chunks take.
pub(super) struct PendingItems {
    features: Features,
    vectors: Pair<Vectors>,
    items: VecDeque<PendingItem>,
    /// How many items came before the first pending one. Items are known by their number among all items.
    written: u64,
    /// Chunks that have all their embeddings.
    complete: Vec<u64>,
    /// Numbers of chunks whose scores an earlier run has kept.
    done: Arc<IndexSet>,
    /// End of the previous chunk in the current record, in bases.
    end: usize,
    /// Progress of chunks that have scores.
    judged: ChunkProgress,
}

/// An item, and the state of its chunk.
struct PendingItem {
    item: FrameItem,
    /// Bases of its chunk that the previous chunk does not cover.
    own: u64,
    /// Embeddings that have not arrived.
    missing: usize,
    scores: Option<ChunkScores>,
}

/// An item that can be written.
pub(super) enum ItemTurn {
    /// A chunk with its scores, or another kind of item.
    Ready(FrameItem, Option<ChunkScores>),
    /// A chunk whose scores an earlier run has kept.
    Kept(Chunk),
}

impl PendingItems {
    /// Creates it for models with embeddings of these widths. An earlier run has kept `embeddings`, and the
    /// scores of the chunks in `done`.
    pub(super) fn new(
        features: Features,
        widths: Pair<usize>,
        embeddings: Pair<HashMap<u64, Embedding>>,
        done: Arc<IndexSet>,
    ) -> Self {
        PendingItems {
            features,
            vectors: widths.zip(embeddings).map(|(width, earlier)| Vectors::new(width, earlier)),
            items: VecDeque::new(),
            written: 0,
            complete: Vec::new(),
            done,
            end: 0,
            judged: ChunkProgress::default(),
        }
    }

    /// Returns the progress of chunks that have scores, in whatever order they got them.
    pub(super) fn judged(&self) -> ChunkProgress {
        self.judged
    }

    /// Returns the number of pending items.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds an item, which waits for its turn and, if it is a chunk, for its missing embeddings.
    pub(super) fn admit(&mut self, item: FrameItem) {
        let number = self.written + self.items.len() as u64;
        let mut missing = 0;
        let own = self.own_bases(&item);
        if let FrameItem::Chunk(chunk) = &item {
            if self.done.contains(chunk.number) {
                self.judge(own);
            } else {
                let is_missing = |&(alphabet, sequence): &(Alphabet, u64)| {
                    !self.vectors[alphabet].is_there(sequence, number)
                };
                missing = self.features.sequences(chunk).filter(is_missing).count();
                self.complete.extend((missing == 0).then_some(number));
            }
        }
        self.items.push_back(PendingItem { item, own, missing, scores: None });
    }

    /// Adds a model's embeddings, `[sequences, width]`, with the numbers of their sequences.
    pub(super) fn put(&mut self, alphabet: Alphabet, sequences: impl Iterator<Item = u64>, values: Vec<f32>) {
        let vectors = &mut self.vectors[alphabet];
        for (sequence, embedding) in sequences.zip(Embedding::of_rows(values, vectors.width())) {
            for number in vectors.put(sequence, embedding) {
                let waits = &mut self.items[(number - self.written) as usize];
                waits.missing -= 1;
                self.complete.extend((waits.missing == 0).then_some(number));
            }
        }
    }

    /// Returns all embeddings that chunks may still need, each with its model and the number of its sequence.
    pub(super) fn embeddings(&self) -> impl Iterator<Item = (Alphabet, u64, &Embedding)> {
        self.vectors.as_ref().into_iter().flat_map(|(alphabet, vectors)| {
            vectors.all().map(move |(number, embedding)| (alphabet, number, embedding))
        })
    }

    /// Takes the chunks that have all their embeddings and no scores yet. Each is returned once.
    pub(super) fn take_complete(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.complete)
    }

    /// Returns what the classifiers take of these chunks.
    pub(super) fn task(&self, chunks: &[u64]) -> ScoringTask {
        let mut task = ScoringTask::default();
        for (&number, chunk) in chunks.iter().filter_map(|number| Some((number, self.chunk(*number)?))) {
            let before = task.embeddings.len();
            let sequences = self.features.sequences(chunk);
            task.embeddings.extend(sequences.map(|(alphabet, sequence)| {
                self.vectors[alphabet].get(sequence).expect("a complete chunk has all embeddings").clone()
            }));
            let (frames, whole) = (chunk.frames.len(), WholeFacts::of(chunk));
            task.items.push(number);
            task.facts.push(ChunkFacts { embeddings: task.embeddings.len() - before, frames, whole });
        }
        task
    }

    /// Sets the scores of chunks. Returns those with scores, by chunk number.
    pub(super) fn set_scores(&mut self, items: &[u64], scores: Vec<ChunkScores>) -> Vec<(u64, ChunkScores)> {
        let mut scored = Vec::with_capacity(items.len());
        for (number, scores) in items.iter().zip(scores) {
            let Some(chunk) = self.chunk(*number) else { continue };
            if !scores.is_empty() {
                scored.push((chunk.number, scores.clone()));
            }
            let waits = &mut self.items[(number - self.written) as usize];
            waits.scores = Some(scores);
            let own = waits.own;
            self.judge(own);
        }
        scored
    }

    /// Returns the first item, if it is ready.
    pub(super) fn pop(&mut self) -> Option<ItemTurn> {
        let first = self.items.front()?;
        let is_kept = match &first.item {
            FrameItem::Chunk(chunk) if self.done.contains(chunk.number) => true,
            FrameItem::Chunk(_) if first.scores.is_none() => return None,
            _ => false,
        };
        let PendingItem { item, scores, .. } = self.items.pop_front()?;
        self.written += 1;
        if let FrameItem::Chunk(Chunk { oldest, .. }) = item {
            self.vectors.as_mut().zip(oldest).map(|(vectors, oldest)| vectors.forget(oldest));
        }
        Some(match item {
            FrameItem::Chunk(chunk) if is_kept => ItemTurn::Kept(chunk),
            item => ItemTurn::Ready(item, scores),
        })
    }

    fn judge(&mut self, bases: u64) {
        self.judged.chunks += 1;
        self.judged.bases += bases;
    }

    /// Returns the bases of a chunk that the previous one in its record does not cover.
    fn own_bases(&mut self, item: &FrameItem) -> u64 {
        let before = self.end;
        self.end = match item {
            FrameItem::Chunk(chunk) => chunk.bases.end,
            FrameItem::Record(_) | FrameItem::End => 0,
        };
        self.end.saturating_sub(before) as u64
    }

    /// Returns the chunk with this item number.
    fn chunk(&self, number: u64) -> Option<&Chunk> {
        match &self.items.get((number - self.written) as usize)?.item {
            FrameItem::Chunk(chunk) => Some(chunk),
            FrameItem::Record(_) | FrameItem::End => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use virpack_seq::Frame;
    use virpack_seq::frames::{ChunkFrame, WholeChunk};

    use super::*;
    use crate::calls::Scores;

    fn chunk(number: u64, sequences: &[[u64; 2]]) -> FrameItem {
        let frame = |&[nucleotide, protein]: &[u64; 2]| {
            let sequences = Pair { nucleotide, protein };
            ChunkFrame { frame: Frame::F1, codons: 0..3, sequences }
        };
        let frames = sequences.iter().map(frame).collect();
        FrameItem::Chunk(Chunk {
            number,
            bases: 0..3,
            frames,
            whole: WholeChunk::Nothing,
            oldest: Pair::default(),
        })
    }

    fn scored(waiting: &mut PendingItems) -> Vec<u64> {
        let ScoringTask { items, facts, embeddings } = waiting.task(&waiting.complete.clone());
        assert_eq!(waiting.take_complete(), items);
        let mut embeddings = embeddings.into_iter();
        let mut next = || embeddings.next().unwrap()[0];
        let mut scores = |facts: &ChunkFacts| {
            assert_eq!((facts.embeddings, facts.whole.rows(facts.frames)), (2 * facts.frames, 0));
            let frames = (0..facts.frames).map(|_| Scores { other: next(), virus: next() }).collect();
            ChunkScores { frames, whole: None }
        };
        let scores = facts.iter().map(&mut scores).collect();
        waiting.set_scores(&items, scores).into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn chunks_are_scored_when_they_can_be_and_written_in_their_turn() {
        let mut done = IndexSet::default();
        done.insert(2);
        let (takes, widths) = (Pair { nucleotide: true, protein: true }, Pair { nucleotide: 1, protein: 1 });
        let features = Features::Frames { takes, strands: false };
        let mut waiting = PendingItems::new(features, widths, Pair::default(), Arc::new(done));
        // The second shares its protein with the first, the third is done, the fourth holds nothing.
        let sequences: [&[[u64; 2]]; 4] = [&[[0, 0], [1, 1]], &[[2, 1]], &[[3, 2]], &[]];
        (0..).zip(sequences).for_each(|(number, sequences)| waiting.admit(chunk(number, sequences)));
        assert_eq!(scored(&mut waiting), [0; 0], "nothing is in it to be kept");
        waiting.put(Alphabet::Proteins, [1, 2].into_iter(), vec![10.0, 20.0]);
        waiting.put(Alphabet::Nucleotides, [2, 1].into_iter(), vec![2.0, 1.0]);
        assert_eq!(scored(&mut waiting), [1], "whatever came before it");
        assert!(waiting.pop().is_none(), "it is not its turn");
        waiting.put(Alphabet::Nucleotides, [0, 3].into_iter(), vec![0.5, 3.0]);
        waiting.put(Alphabet::Proteins, [0].into_iter(), vec![5.0]);
        assert_eq!(scored(&mut waiting), [0]);
        let mut turns = Vec::new();
        while let Some(turn) = waiting.pop() {
            turns.push(match turn {
                ItemTurn::Ready(_, scores) => scores.map(|scores| scores.frames),
                ItemTurn::Kept(chunk) => {
                    assert_eq!(chunk.number, 2);
                    None
                }
            });
        }
        let scores = |other, virus| Scores { other, virus };
        let first = vec![scores(0.5, 5.0), scores(1.0, 10.0)];
        let expected = vec![Some(first), Some(vec![scores(2.0, 10.0)]), None, Some(Vec::new())];
        assert_eq!((turns, waiting.len()), (expected, 0));
    }
}
