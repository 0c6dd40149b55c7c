//! Scores of the two classes.

use std::io::{self, ErrorKind};

/// Bytes of [`Scores`] in a file.
pub(super) const SCORES_BYTES: usize = 2 * size_of::<f32>();

/// A score for each of the two classes: a classifier's, which add to 1, or the highest of several, which need
/// not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scores {
    /// Of the class *others*: cellular.
    pub(super) other: f32,
    /// Of the class *virus*.
    pub(super) virus: f32,
}

impl Scores {
    /// From a classifier's row, `[others, virus]`.
    pub(super) fn of_classes([other, virus]: [f32; 2]) -> Self {
        Scores { other, virus }
    }

    /// The higher of both for each class.
    pub(super) fn highest(self, than: Scores) -> Self {
        Scores { other: self.other.max(than.other), virus: self.virus.max(than.virus) }
    }

    /// VirNucPro's label of a frame with these scores.
    pub(super) fn label(self) -> &'static str {
        if self.virus > self.other { "virus" } else { "others" }
    }

    /// VirNucPro's verdict on a chunk with these highest scores.
    pub(super) fn is_viral(self) -> bool {
        self.virus >= self.other
    }

    /// Both as float32, little-endian, `other` first.
    pub(super) fn to_le_bytes(self) -> [u8; SCORES_BYTES] {
        let mut bytes = [0; SCORES_BYTES];
        let (other, virus) = bytes.split_at_mut(size_of::<f32>());
        other.copy_from_slice(&self.other.to_le_bytes());
        virus.copy_from_slice(&self.virus.to_le_bytes());
        bytes
    }

    /// The scores that [`Scores::to_le_bytes`] made bytes of.
    pub(super) fn from_le_bytes(bytes: [u8; SCORES_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Scores { other: f32::from_le_bytes([a, b, c, d]), virus: f32::from_le_bytes([e, f, g, h]) }
    }
}

/// What the classifiers have said of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChunkScores {
    /// Those of each open frame.
    pub(super) frames: Vec<Scores>,
    /// The highest of its two strands, where these were scored.
    pub(super) strands: Option<Scores>,
}

impl ChunkScores {
    /// Whether there are none: the chunk has nothing that can be scored.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.strands.is_none()
    }

    /// Appends them to `bytes`: the frames' and then the strands'.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.frames.iter().chain(&self.strands).flat_map(|scores| scores.to_le_bytes()));
    }

    /// Those of a chunk with so many frames.
    pub(super) fn decode(bytes: &[u8], frames: usize, strands: bool) -> io::Result<Self> {
        let (scores, rest) = bytes.as_chunks();
        if scores.len() != frames + usize::from(strands) || !rest.is_empty() {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut scores = scores.iter().copied().map(Scores::from_le_bytes);
        Ok(ChunkScores { frames: scores.by_ref().take(frames).collect(), strands: scores.next() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_come_back_for_a_chunk_of_that_shape_alone() {
        let of = |frames: &[[f32; 2]], strands: Option<[f32; 2]>| ChunkScores {
            frames: frames.iter().copied().map(Scores::of_classes).collect(),
            strands: strands.map(Scores::of_classes),
        };
        for scores in [of(&[], None), of(&[[0.25, 0.75], [1.0, 0.0]], None), of(&[], Some([1e-45, 0.5]))] {
            let mut bytes = Vec::new();
            scores.encode(&mut bytes);
            let (frames, strands) = (scores.frames.len(), scores.strands.is_some());
            assert_eq!(ChunkScores::decode(&bytes, frames, strands).unwrap(), scores);
            assert!(ChunkScores::decode(&bytes, frames + 1, strands).is_err());
            assert!(ChunkScores::decode(&[&bytes[..], &[0]].concat(), frames, strands).is_err());
        }
    }

    #[test]
    fn a_file_holds_the_score_of_others_first() {
        let bytes = Scores { other: 0.25, virus: 0.75 }.to_le_bytes();
        assert_eq!(bytes, [0, 0, 0x80, 0x3e, 0, 0, 0x40, 0x3f]);
    }
}
