//! The scores of the two classes.

/// Bytes of [`Scores`] in a file.
pub(crate) const SCORES_BYTES: usize = 2 * size_of::<f32>();

/// A score for each of the two classes: those of a classifier, which add up to 1, or the highest of
/// several, which need not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scores {
    /// The score of the class *others*: cellular.
    pub(crate) other: f32,
    /// The score of the class *virus*.
    pub(crate) virus: f32,
}

impl Scores {
    /// Returns the scores in a classifier's row, `[others, virus]`.
    pub(crate) fn of_classes([other, virus]: [f32; 2]) -> Self {
        Scores { other, virus }
    }

    /// Returns the higher score of both for each class.
    pub(crate) fn highest(self, than: Scores) -> Self {
        Scores { other: self.other.max(than.other), virus: self.virus.max(than.virus) }
    }

    /// Returns VirNucPro's label of a frame with these scores.
    pub(crate) fn label(self) -> &'static str {
        if self.virus > self.other { "virus" } else { "others" }
    }

    /// Returns VirNucPro's verdict on a chunk with these highest scores.
    pub(crate) fn is_viral(self) -> bool {
        self.virus >= self.other
    }

    /// Returns both, `[other, virus]`.
    pub(crate) fn both(self) -> [f32; 2] {
        [self.other, self.virus]
    }

    /// Returns both as float32, little-endian, `other` first.
    pub(crate) fn to_le_bytes(self) -> [u8; SCORES_BYTES] {
        let mut bytes = [0; SCORES_BYTES];
        let (other, virus) = bytes.split_at_mut(size_of::<f32>());
        other.copy_from_slice(&self.other.to_le_bytes());
        virus.copy_from_slice(&self.virus.to_le_bytes());
        bytes
    }

    /// Returns the scores that [`Scores::to_le_bytes`] wrote.
    pub(crate) fn from_le_bytes(bytes: [u8; SCORES_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Scores { other: f32::from_le_bytes([a, b, c, d]), virus: f32::from_le_bytes([e, f, g, h]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_the_score_of_others_first() {
        let bytes = Scores { other: 0.25, virus: 0.75 }.to_le_bytes();
        assert_eq!(bytes, [0, 0, 0x80, 0x3e, 0, 0, 0x40, 0x3f]);
    }
}
