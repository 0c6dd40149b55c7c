//! Chunks with their scores, and whether they have a verdict.

use std::ops::Range;

use virpack_seq::Frame;

use super::options::CallOptions;
use super::scores::Scores;

/// Whether a record or a chunk has a verdict, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It has a verdict, from its open frames.
    Classified,
    /// It has a verdict, from its nucleotides alone: it has no open frame.
    ClassifiedNucleotide,
    /// It has no verdict: every reading frame has a stop codon, or no codon that can be translated. With a
    /// classifier of nucleotides alone: none of its codons can be translated.
    NoOpenFrame,
    /// It has no verdict: it is shorter than a codon.
    TooShort,
    /// It has no verdict: it has no letters.
    Empty,
    /// It has no verdict: the record is shorter than the requested minimum, and was not computed.
    BelowMinLength,
}

impl Status {
    /// Returns the word in the tables.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Classified => "classified",
            Status::ClassifiedNucleotide => "classified_nucleotide",
            Status::NoOpenFrame => "no_open_frame",
            Status::TooShort => "too_short",
            Status::Empty => "empty",
            Status::BelowMinLength => "below_min_length",
        }
    }

    /// Returns the status of `bases` bases, by whether any frame of them, or any chunk as a whole, has
    /// scores.
    pub(crate) fn of(bases: usize, by_frames: bool, by_nucleotides: bool) -> Status {
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
pub(crate) struct ScoredFrame {
    pub(crate) frame: Frame,
    /// The record's bases that its codons cover, from 0.
    pub(crate) codons: Range<usize>,
    pub(crate) scores: Scores,
}

/// A chunk with its scores.
#[derive(Clone, Debug)]
pub(crate) struct ScoredChunk {
    /// Its bases in the record, from 0.
    pub(crate) bases: Range<usize>,
    pub(crate) frames: Vec<ScoredFrame>,
    /// Its own scores if it has no open frame: the highest of its two strands from their nucleotides alone,
    /// or those of its one row if a joint classifier takes all six frames.
    pub(crate) whole: Option<Scores>,
}

impl ScoredChunk {
    /// Returns the highest scores of its frames; None if it has no open frame.
    pub(crate) fn highest_of_frames(&self) -> Option<Scores> {
        self.frames.iter().map(|frame| frame.scores).reduce(Scores::highest)
    }

    /// Returns the scores of its verdict: the highest of its frames, or else those of its nucleotides
    /// alone.
    pub(crate) fn highest(&self) -> Option<Scores> {
        self.highest_of_frames().or(self.whole)
    }

    pub(crate) fn status(&self) -> Status {
        Status::of(self.bases.len(), !self.frames.is_empty(), self.whole.is_some())
    }
}

/// Counts of a record's chunks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChunkTally {
    pub(crate) chunks: u64,
    pub(crate) classified: u64,
    /// Classified chunks whose verdict comes from their nucleotides alone.
    pub(crate) by_nucleotides: u64,
    pub(crate) viral: u64,
    /// Open frames.
    pub(crate) frames: u64,
    pub(crate) highest: Option<Scores>,
}

impl ChunkTally {
    /// Counts a chunk.
    pub(crate) fn add(&mut self, chunk: &ScoredChunk, options: &CallOptions) {
        self.chunks += 1;
        self.frames += chunk.frames.len() as u64;
        let Some(highest) = chunk.highest() else { return };
        self.classified += 1;
        self.by_nucleotides += u64::from(chunk.whole.is_some());
        self.viral += u64::from(options.is_viral(highest));
        self.highest = Some(self.highest.map_or(highest, |before| before.highest(highest)));
    }

    /// Returns the viral share of the classified chunks.
    pub(crate) fn fraction(&self) -> Option<f64> {
        (self.classified > 0).then(|| self.viral as f64 / self.classified as f64)
    }

    /// Returns the status of a record of `bases` bases.
    pub(crate) fn status(&self, bases: usize) -> Status {
        Status::of(bases, self.classified > self.by_nucleotides, self.by_nucleotides > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(frames: &[[f32; 2]], whole: Option<[f32; 2]>) -> ScoredChunk {
        let frame = |&classes| {
            let scores = Scores::of_classes(classes);
            ScoredFrame { frame: Frame::F1, codons: 0..300, scores }
        };
        let whole = whole.map(Scores::of_classes);
        ScoredChunk { bases: 0..300, frames: frames.iter().map(frame).collect(), whole }
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
        let options = CallOptions::default();
        let mut tally = ChunkTally::default();
        tally.add(&neither, &options);
        assert_eq!((tally.status(300), tally.fraction()), (Status::NoOpenFrame, None));
        tally.add(&whole, &options);
        assert_eq!((tally.status(600), tally.fraction()), (Status::ClassifiedNucleotide, Some(1.0)));
        tally.add(&framed, &options);
        assert_eq!((tally.status(900), tally.fraction()), (Status::Classified, Some(0.5)));
        assert_eq!((tally.chunks, tally.classified, tally.by_nucleotides, tally.frames), (3, 2, 1, 2));
        assert_eq!(tally.highest, Some(Scores { other: 0.9, virus: 0.8 }));
    }
}
