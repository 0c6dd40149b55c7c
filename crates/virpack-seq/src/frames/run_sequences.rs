//! The sequences of a run of chunks for one model, tokenized and not numbered yet.

use std::ops::Range;

use crate::tokenize::{TokenCounts, Tokenizer};

/// The place of a sequence that is not there.
pub(super) const NO_SEQUENCE: u64 = u64::MAX;

/// Sequences end to end, by their places from 0: letters and tokens.
#[derive(Default)]
pub(super) struct RunSequences {
    letters: Vec<u8>,
    tokens: Vec<u16>,
    sequences: Vec<Bounds>,
}

/// Where a sequence ends, and what is known of it.
struct Bounds {
    letters: usize,
    tokens: usize,
    hash: u64,
    counts: TokenCounts,
}

/// A tokenized sequence.
pub(super) struct RunSequence<'a> {
    pub(super) letters: &'a [u8],
    pub(super) tokens: &'a [u16],
    /// A hash of its letters.
    pub(super) hash: u64,
    pub(super) counts: TokenCounts,
}

impl RunSequences {
    /// Returns the number of sequences.
    pub(super) fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Tokenizes a sequence whose letters have this hash.
    pub(super) fn add(&mut self, tokenizer: &dyn Tokenizer, letters: &[u8], hash: u64) {
        let counts = tokenizer.tokenize(letters, usize::MAX, &mut self.tokens);
        self.letters.extend_from_slice(letters);
        self.sequences.push(Bounds { letters: self.letters.len(), tokens: self.tokens.len(), hash, counts });
    }

    /// Iterates over the sequences at these places.
    pub(super) fn get(&self, places: Range<usize>) -> impl Iterator<Item = RunSequence<'_>> {
        let before = places.start.checked_sub(1).and_then(|before| self.sequences.get(before));
        let (mut letters, mut tokens) = before.map_or((0, 0), |before| (before.letters, before.tokens));
        self.sequences[places].iter().map(move |end| {
            let sequence = RunSequence {
                letters: &self.letters[letters..end.letters],
                tokens: &self.tokens[tokens..end.tokens],
                hash: end.hash,
                counts: end.counts,
            };
            (letters, tokens) = (end.letters, end.tokens);
            sequence
        })
    }

    /// Empties it. Keeps its memory, unless a very large chunk has enlarged it.
    pub(super) fn clear(&mut self) {
        const KEPT: usize = 1 << 20;
        self.letters.clear();
        self.letters.shrink_to(KEPT);
        self.tokens.clear();
        self.tokens.shrink_to(KEPT);
        self.sequences.clear();
    }
}
