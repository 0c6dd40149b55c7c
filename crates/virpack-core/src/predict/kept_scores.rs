//! Stores the scores of chunks: those of an earlier run, and those of this run for a later one to resume
//! from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use virpack_seq::frames::{Chunk, Pair};
use virpack_seq::{Alphabet, IndexSet};

use super::chunk_scores::ChunkScores;
use super::embedding::Embedding;
use super::features::whole_rows;
use crate::Error;
use crate::output::OutputError;
use crate::resume::{EarlierParts, Entries, HandOn, Session};

/// The store of scores, and of embeddings of chunks that have no scores yet.
pub(super) struct KeptScores {
    session: Session,
    earlier: Option<EarlierParts>,
    /// Embeddings from an earlier run, for each model, by the numbers of their sequences.
    embeddings: Pair<HashMap<u64, Embedding>>,
    /// The interval at which embeddings are kept, and the time of the last one.
    every: Duration,
    since: Instant,
}

impl KeptScores {
    /// Takes what an earlier run has kept. Keeps new scores, and embeddings at intervals of `every`.
    pub(super) fn open(mut session: Session, every: Duration) -> Self {
        let mut embeddings: Pair<HashMap<_, _>> = Pair::default();
        for (key, bytes) in session.take_under_way() {
            let values: Vec<f32> =
                bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
            let (alphabet, number) = from_key(key);
            embeddings[alphabet].insert(number, values.into());
        }
        let earlier = session.take_earlier();
        KeptScores { session, earlier, embeddings, every, since: Instant::now() }
    }

    /// Returns, for each model, the numbers of the sequences whose embeddings an earlier run has kept.
    pub(super) fn known(&self) -> Pair<Arc<IndexSet>> {
        self.embeddings.as_ref().map(|embeddings| {
            let mut known = IndexSet::default();
            embeddings.keys().for_each(|number| _ = known.insert(*number));
            Arc::new(known)
        })
    }

    /// Takes these embeddings.
    pub(super) fn take_embeddings(&mut self) -> Pair<HashMap<u64, Embedding>> {
        std::mem::take(&mut self.embeddings)
    }

    /// Returns whether embeddings are due to be kept.
    pub(super) fn is_due(&self) -> bool {
        self.session.is_kept() && self.since.elapsed() >= self.every
    }

    /// Keeps the embeddings of chunks that have no scores yet, each with its model and the number of its
    /// sequence. They replace those kept before.
    pub(super) fn keep_embeddings<'a>(
        &mut self,
        embeddings: impl Iterator<Item = (Alphabet, u64, &'a Embedding)>,
    ) -> Result<(), Error> {
        self.since = Instant::now();
        let entry = |(alphabet, number, own): (_, _, &Embedding)| (key(alphabet, number), own.clone());
        let all: Vec<_> = embeddings.map(entry).collect();
        if all.is_empty() { Ok(()) } else { self.session.keep_under_way(EmbeddingEntries(all)) }
    }

    /// Returns the numbers of the chunks that an earlier run has scored.
    pub(super) fn done(&self) -> Arc<IndexSet> {
        self.session.finished()
    }

    /// Takes the scores of a chunk from an earlier run. Each chunk can be taken once, in input order.
    pub(super) fn take(&mut self, chunk: &Chunk) -> Result<ChunkScores, OutputError> {
        let earlier = self.earlier.as_mut().expect("a chunk is done where an earlier run has it");
        earlier
            .take(chunk.number, |bytes| ChunkScores::decode(bytes, chunk.frames.len(), whole_rows(chunk) > 0))
    }

    /// Keeps the scores of chunks, by their numbers.
    pub(super) fn keep(&mut self, scored: Vec<(u64, ChunkScores)>) -> Result<(), Error> {
        if scored.is_empty() { Ok(()) } else { self.session.keep(ScoredChunks(scored)) }
    }

    /// Returns the session, for the caller to end.
    pub(super) fn finish(self) -> Session {
        self.session
    }
}

/// Returns the key of an embedding in a part: twice the number of its sequence, plus 1 for the protein model.
fn key(alphabet: Alphabet, number: u64) -> u64 {
    2 * number + u64::from(alphabet == Alphabet::Proteins)
}

/// Returns the model and the sequence number of a [`key`].
fn from_key(key: u64) -> (Alphabet, u64) {
    let alphabet = if key.is_multiple_of(2) { Alphabet::Nucleotides } else { Alphabet::Proteins };
    (alphabet, key / 2)
}

/// Scores by chunk number, as entries of a part.
struct ScoredChunks(Vec<(u64, ChunkScores)>);

impl Entries for ScoredChunks {
    fn each(&self, hand_on: &mut HandOn<'_>) -> Result<(), OutputError> {
        let mut bytes = Vec::new();
        self.0.iter().try_for_each(|(number, scores)| {
            bytes.clear();
            scores.encode(&mut bytes);
            hand_on(*number, &bytes)
        })
    }
}

/// Embeddings by [`key`], as entries of a part.
struct EmbeddingEntries(Vec<(u64, Embedding)>);

impl Entries for EmbeddingEntries {
    fn each(&self, hand_on: &mut HandOn<'_>) -> Result<(), OutputError> {
        let mut bytes = Vec::new();
        self.0.iter().try_for_each(|(number, values)| {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            hand_on(*number, &bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_parts_that_other_versions_have_written() {
        for (alphabet, number, expected) in [
            (Alphabet::Nucleotides, 0, 0),
            (Alphabet::Proteins, 0, 1),
            (Alphabet::Nucleotides, 7, 14),
            (Alphabet::Proteins, 7, 15),
        ] {
            assert_eq!(key(alphabet, number), expected);
            assert_eq!(from_key(expected), (alphabet, number));
        }
    }
}
