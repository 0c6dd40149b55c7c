//! From the scores of frames to a verdict on chunks and records.

use std::ops::Range;

use virpack_seq::Frame;

/// What is called viral.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The least `score_virus` that a viral chunk reaches with one of its frames, beside reaching its highest
    /// `score_other`.
    pub min_score: Option<f32>,
    /// The least share of a record's classified chunks that are viral where the record is.
    pub min_fraction: f64,
}

impl Default for Rule {
    /// VirNucPro's for chunks; half of them for records.
    fn default() -> Self {
        Rule { min_score: None, min_fraction: 0.5 }
    }
}

/// What became of a record or a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has a verdict.
    Classified,
    /// It has none: every reading frame of it holds a stop codon, or no codon that can be read.
    NoOpenFrame,
    /// It has none: it is shorter than a codon.
    TooShort,
    /// It has none: it holds no letter.
    Empty,
}

impl Status {
    /// The word that stands in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Classified => "classified",
            Status::NoOpenFrame => "no_open_frame",
            Status::TooShort => "too_short",
            Status::Empty => "empty",
        }
    }

    /// Of so many bases, and whether any frame of them has scores.
    pub(super) fn of(bases: usize, classified: bool) -> Status {
        match bases {
            _ if classified => Status::Classified,
            0 => Status::Empty,
            1 | 2 => Status::TooShort,
            _ => Status::NoOpenFrame,
        }
    }
}

/// An open frame with its scores.
#[derive(Clone, Debug)]
pub(super) struct ScoredFrame {
    pub(super) frame: Frame,
    /// The record's bases that its codons cover, from 0.
    pub(super) codons: Range<usize>,
    /// `[others, virus]`.
    pub(super) scores: [f32; 2],
}

impl ScoredFrame {
    /// VirNucPro's label of a frame.
    pub(super) fn label(&self) -> &'static str {
        if self.scores[1] > self.scores[0] { "virus" } else { "others" }
    }
}

/// A chunk with the scores of its open frames.
#[derive(Clone, Debug)]
pub(super) struct ScoredChunk {
    /// Its bases in the record, from 0.
    pub(super) bases: Range<usize>,
    pub(super) frames: Vec<ScoredFrame>,
}

impl ScoredChunk {
    /// The highest scores of its frames, `[others, virus]`; none where it has no open frame.
    pub(super) fn highest(&self) -> Option<[f32; 2]> {
        self.frames.iter().map(|frame| frame.scores).reduce(higher)
    }
}

pub(super) fn higher(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    [a[0].max(b[0]), a[1].max(b[1])]
}

/// VirNucPro's verdict on a chunk with these highest scores.
pub(super) fn reference_verdict([others, virus]: [f32; 2]) -> bool {
    virus >= others
}

impl Rule {
    /// The verdict on a chunk with these highest scores.
    pub(super) fn is_viral(&self, highest: [f32; 2]) -> bool {
        reference_verdict(highest) && self.min_score.is_none_or(|least| highest[1] >= least)
    }
}

/// The chunks of a record, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) chunks: u64,
    pub(super) classified: u64,
    pub(super) viral: u64,
    pub(super) highest: Option<[f32; 2]>,
}

impl Tally {
    /// Counts a chunk with these highest scores; its verdict, where it has one.
    pub(super) fn add(&mut self, highest: Option<[f32; 2]>, rule: &Rule) -> Option<bool> {
        self.chunks += 1;
        let highest = highest?;
        let viral = rule.is_viral(highest);
        self.classified += 1;
        self.viral += u64::from(viral);
        self.highest = Some(self.highest.map_or(highest, |before| higher(before, highest)));
        Some(viral)
    }

    /// The share of its classified chunks that are viral.
    pub(super) fn fraction(&self) -> Option<f64> {
        (self.classified > 0).then(|| self.viral as f64 / self.classified as f64)
    }

    /// The verdict on the record.
    pub(super) fn is_viral(&self, rule: &Rule) -> Option<bool> {
        self.fraction().map(|fraction| fraction >= rule.min_fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_viral_by_its_highest_scores() {
        let rule = Rule::default();
        assert!(rule.is_viral([0.5, 0.5]));
        // The highest scores may be those of two frames.
        assert!(rule.is_viral([0.9, 0.95]));
        assert!(!rule.is_viral([0.95, 0.9]));
        let strict = Rule { min_score: Some(0.96), ..rule };
        assert!(!strict.is_viral([0.9, 0.95]));
        assert!(strict.is_viral([0.9, 0.96]));
        let even = ScoredFrame { frame: Frame::F1, codons: 0..3, scores: [0.5, 0.5] };
        assert_eq!(even.label(), "others");
    }

    #[test]
    fn a_record_is_viral_by_the_share_of_its_classified_chunks() {
        let rule = Rule::default();
        let mut tally = Tally::default();
        assert_eq!((tally.fraction(), tally.is_viral(&rule)), (None, None));
        assert_eq!(tally.add(None, &rule), None);
        assert_eq!(tally.is_viral(&rule), None);
        assert_eq!(tally.add(Some([0.9, 0.1]), &rule), Some(false));
        assert_eq!(tally.is_viral(&rule), Some(false));
        assert_eq!(tally.add(Some([0.1, 0.9]), &rule), Some(true));
        assert_eq!((tally.fraction(), tally.is_viral(&rule)), (Some(0.5), Some(true)));
        assert_eq!(tally.add(Some([0.9, 0.2]), &rule), Some(false));
        assert_eq!(tally.is_viral(&rule), Some(false));
        assert_eq!((tally.chunks, tally.classified, tally.viral), (4, 3, 1));
        assert_eq!(tally.highest, Some([0.9, 0.9]));
        let any = Rule { min_fraction: 0.0, ..rule };
        assert_eq!(tally.is_viral(&any), Some(true));
    }
}
