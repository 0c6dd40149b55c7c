//! The scores of a chunk's frames, or of the chunk as a whole.

use std::io::{self, ErrorKind};

use crate::calls::Scores;

/// The classifiers' scores for a chunk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChunkScores {
    /// The scores of each open frame.
    pub(super) frames: Vec<Scores>,
    /// Without an open frame: the higher score of its two strands, or its own score, if it was scored.
    pub(super) whole: Option<Scores>,
}

impl ChunkScores {
    /// Returns whether there are no scores, because nothing in the chunk can be scored.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.whole.is_none()
    }

    /// Appends the scores to `bytes`: those of the frames, then the chunk's own.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.frames.iter().chain(&self.whole).flat_map(|scores| scores.to_le_bytes()));
    }

    /// Reads the scores of a chunk with `frames` open frames, and its own score if `whole`.
    pub(super) fn decode(bytes: &[u8], frames: usize, whole: bool) -> io::Result<Self> {
        let (scores, rest) = bytes.as_chunks();
        if scores.len() != frames + usize::from(whole) || !rest.is_empty() {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut scores = scores.iter().copied().map(Scores::from_le_bytes);
        Ok(ChunkScores { frames: scores.by_ref().take(frames).collect(), whole: scores.next() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_back_only_for_a_chunk_of_their_shape() {
        let of = |frames: &[[f32; 2]], whole: Option<[f32; 2]>| ChunkScores {
            frames: frames.iter().copied().map(Scores::of_classes).collect(),
            whole: whole.map(Scores::of_classes),
        };
        for scores in [of(&[], None), of(&[[0.25, 0.75], [1.0, 0.0]], None), of(&[], Some([1e-45, 0.5]))] {
            let mut bytes = Vec::new();
            scores.encode(&mut bytes);
            let (frames, whole) = (scores.frames.len(), scores.whole.is_some());
            assert_eq!(ChunkScores::decode(&bytes, frames, whole).unwrap(), scores);
            assert!(ChunkScores::decode(&bytes, frames + 1, whole).is_err());
            assert!(ChunkScores::decode(&[&bytes[..], &[0]].concat(), frames, whole).is_err());
        }
    }
}
