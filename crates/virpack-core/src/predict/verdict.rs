//! From the scores of frames to a verdict on chunks and records.

use std::ops::Range;

use virpack_seq::Frame;

use super::scores::Scores;

/// What is called viral.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The least `score_virus` that a viral chunk reaches with one of its frames, beside reaching its highest
    /// `score_other`.
    pub min_score: Option<f32>,
    /// The least share of a record's classified chunks that must be viral for the record to be; with 0 every record with a
    /// classified chunk is.
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
    /// It has a verdict, by its open frames.
    Classified,
    /// It has a verdict, by its nucleotides alone: it has no open frame.
    ClassifiedNucleotide,
    /// It has none: every reading frame of it holds a stop codon, or no codon that can be read. Where there is a
    /// classifier of nucleotides alone: none of its codons can be read.
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
            Status::ClassifiedNucleotide => "classified_nucleotide",
            Status::NoOpenFrame => "no_open_frame",
            Status::TooShort => "too_short",
            Status::Empty => "empty",
        }
    }

    /// Of so many bases, and whether any frame of them, or any chunk as a whole, has scores.
    pub(super) fn of(bases: usize, by_frames: bool, by_nucleotides: bool) -> Status {
        match bases {
            _ if by_frames => Status::Classified,
            _ if by_nucleotides => Status::ClassifiedNucleotide,
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
    pub(super) scores: Scores,
}

/// A chunk with its scores.
#[derive(Clone, Debug)]
pub(super) struct ScoredChunk {
    /// Its bases in the record, from 0.
    pub(super) bases: Range<usize>,
    pub(super) frames: Vec<ScoredFrame>,
    /// The highest scores of its two strands, by their nucleotides alone, where it has no open frame.
    pub(super) strands: Option<Scores>,
}

impl ScoredChunk {
    /// The highest scores of its frames; none where it has no open frame.
    pub(super) fn highest_of_frames(&self) -> Option<Scores> {
        self.frames.iter().map(|frame| frame.scores).reduce(Scores::highest)
    }

    /// The scores that its verdict rests on: the highest of its frames, else those of its nucleotides alone.
    pub(super) fn highest(&self) -> Option<Scores> {
        self.highest_of_frames().or(self.strands)
    }

    pub(super) fn status(&self) -> Status {
        Status::of(self.bases.len(), !self.frames.is_empty(), self.strands.is_some())
    }
}

impl Rule {
    /// The verdict on a chunk with these highest scores.
    pub(super) fn is_viral(&self, highest: Scores) -> bool {
        highest.is_viral() && self.min_score.is_none_or(|least| highest.virus >= least)
    }
}

/// The chunks of a record, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChunkTally {
    pub(super) chunks: u64,
    pub(super) classified: u64,
    /// Those of the classified that are so by their nucleotides alone.
    pub(super) by_nucleotides: u64,
    pub(super) viral: u64,
    pub(super) highest: Option<Scores>,
}

impl ChunkTally {
    /// Counts a chunk; its verdict, where it has one.
    pub(super) fn add(&mut self, chunk: &ScoredChunk, rule: &Rule) -> Option<bool> {
        self.chunks += 1;
        let highest = chunk.highest()?;
        let viral = rule.is_viral(highest);
        self.classified += 1;
        self.by_nucleotides += u64::from(chunk.strands.is_some());
        self.viral += u64::from(viral);
        self.highest = Some(self.highest.map_or(highest, |before| before.highest(highest)));
        Some(viral)
    }

    /// The share of its classified chunks that are viral.
    pub(super) fn fraction(&self) -> Option<f64> {
        (self.classified > 0).then(|| self.viral as f64 / self.classified as f64)
    }

    /// What becomes of a record of so many bases.
    pub(super) fn status(&self, bases: usize) -> Status {
        Status::of(bases, self.classified > self.by_nucleotides, self.by_nucleotides > 0)
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
        let is_viral = |rule: Rule, other, virus| rule.is_viral(Scores { other, virus });
        assert!(is_viral(rule, 0.5, 0.5));
        // The highest scores may be those of two frames.
        assert!(is_viral(rule, 0.9, 0.95));
        assert!(!is_viral(rule, 0.95, 0.9));
        let strict = Rule { min_score: Some(0.96), ..rule };
        assert!(!is_viral(strict, 0.9, 0.95));
        assert!(is_viral(strict, 0.9, 0.96));
        assert_eq!(Scores { other: 0.5, virus: 0.5 }.label(), "others");
    }

    fn chunk(frames: &[[f32; 2]], strands: Option<[f32; 2]>) -> ScoredChunk {
        let frame = |&classes| {
            let scores = Scores::of_classes(classes);
            ScoredFrame { frame: Frame::F1, codons: 0..300, scores }
        };
        let strands = strands.map(Scores::of_classes);
        ScoredChunk { bases: 0..300, frames: frames.iter().map(frame).collect(), strands }
    }

    #[test]
    fn nucleotides_alone_count_where_there_is_no_frame() {
        let [framed, whole, neither] =
            [chunk(&[[0.9, 0.1], [0.2, 0.8]], None), chunk(&[], Some([0.3, 0.7])), chunk(&[], None)];
        assert_eq!(
            [&framed, &whole, &neither].map(ScoredChunk::highest),
            [Some([0.9, 0.8]), Some([0.3, 0.7]), None].map(|classes| classes.map(Scores::of_classes))
        );
        assert_eq!(whole.highest_of_frames(), None);
        let statuses = [Status::Classified, Status::ClassifiedNucleotide, Status::NoOpenFrame];
        assert_eq!([&framed, &whole, &neither].map(ScoredChunk::status), statuses);
        let rule = Rule::default();
        let mut tally = ChunkTally::default();
        assert_eq!(tally.add(&neither, &rule), None);
        assert_eq!(tally.status(300), Status::NoOpenFrame);
        assert_eq!(tally.add(&whole, &rule), Some(true));
        assert_eq!(tally.status(600), Status::ClassifiedNucleotide);
        assert_eq!(tally.add(&framed, &rule), Some(false));
        assert_eq!(tally.status(900), Status::Classified);
        assert_eq!((tally.classified, tally.by_nucleotides), (2, 1));
        assert_eq!(tally.highest, Some(Scores { other: 0.9, virus: 0.8 }));
    }

    #[test]
    fn a_record_is_viral_by_the_share_of_its_classified_chunks() {
        let rule = Rule::default();
        let mut tally = ChunkTally::default();
        let add = |tally: &mut ChunkTally, scores: Option<[f32; 2]>| {
            tally.add(&chunk(scores.as_slice(), None), &rule)
        };
        assert_eq!((tally.fraction(), tally.is_viral(&rule)), (None, None));
        assert_eq!(add(&mut tally, None), None);
        assert_eq!(tally.is_viral(&rule), None);
        assert_eq!(add(&mut tally, Some([0.9, 0.1])), Some(false));
        assert_eq!(tally.is_viral(&rule), Some(false));
        assert_eq!(add(&mut tally, Some([0.1, 0.9])), Some(true));
        assert_eq!((tally.fraction(), tally.is_viral(&rule)), (Some(0.5), Some(true)));
        assert_eq!(add(&mut tally, Some([0.9, 0.2])), Some(false));
        assert_eq!(tally.is_viral(&rule), Some(false));
        assert_eq!((tally.chunks, tally.classified, tally.viral), (4, 3, 1));
        assert_eq!(tally.highest, Some(Scores { other: 0.9, virus: 0.9 }));
        let any = Rule { min_fraction: 0.0, ..rule };
        assert_eq!(tally.is_viral(&any), Some(true));
    }
}
