//! How embeddings of a chunk become the rows that classifiers score.

use virpack_device::Pool;
use virpack_model::ModelConfig;
use virpack_model::classifier::{Classifier, Towers};
use virpack_seq::Alphabet;
use virpack_seq::frames::{Chunk, ChunkReading, Pair, SixFrames, WholeChunk};

use super::vectors::Vectors;
use crate::Error;

/// What two models read of a chunk, and how that becomes rows. A chunk has a row for each open frame; where
/// it has none, rows of the whole chunk may take their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Features {
    /// VirNucPro's: a frame's embeddings by the models that the classifier takes, one behind the other. With
    /// `strands`, another classifier takes each strand of a chunk without an open frame by its nucleotides
    /// alone.
    Frames { takes: Pair<bool>, strands: bool },
    /// The codons of all six frames, their mean and then their largest values; an open frame's protein, or
    /// the longest partial one; and what is known beside. The widths are those of the models' embeddings.
    Joint { widths: Pair<usize> },
}

/// Facts of a joint row: an open frame, a partial one, the share of frames that are open, the share of G and
/// C.
const FACTS: usize = 4;

/// The rows of chunks, for the classifiers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rows {
    /// Of open frames.
    pub(super) frames: Vec<f32>,
    /// Of chunks without one.
    pub(super) whole: Vec<f32>,
}

impl Features {
    /// What the classifier of open frames, and that of nucleotides where there is one, take of models of
    /// these settings.
    ///
    /// # Errors
    ///
    /// Classifiers that do not fit the models.
    pub(super) fn of(
        configs: &Pair<ModelConfig>,
        frames: &Classifier,
        nucleotides: Option<&Classifier>,
    ) -> Result<Self, Error> {
        let widths = configs.as_ref().map(ModelConfig::hidden);
        if frames.is_joint() {
            if !matches!(configs.nucleotide, ModelConfig::CodonConv(_)) {
                let (path, family) = (frames.location().path(), configs.nucleotide.family());
                return Err(Error::ClassifierFeatures { path, family });
            }
            let widths = Pair { nucleotide: Pool::MeanMax.width(widths.nucleotide), ..widths };
            let (width, expected) = (frames.input_width(), joint_width(widths));
            return match nucleotides {
                Some(other) => Err(Error::ClassifierBeside { path: other.location().path() }),
                None if width != expected => {
                    let path = frames.location().path();
                    Err(Error::JointClassifierWidth { path, width, expected })
                }
                None => Ok(Features::Joint { widths }),
            };
        }
        let takes = frames.check_widths(widths.nucleotide, widths.protein)?;
        let takes = Pair { nucleotide: takes != Towers::Peptide, protein: takes != Towers::Nucleotide };
        match nucleotides {
            Some(other) if other.input_width() != widths.nucleotide => {
                Err(Error::NucleotideClassifierWidth {
                    path: other.location().path(),
                    width: other.input_width(),
                    nucleotide: widths.nucleotide,
                })
            }
            _ => Ok(Features::Frames { takes, strands: nucleotides.is_some() }),
        }
    }

    /// Which models take part.
    pub(super) fn needs(self) -> Pair<bool> {
        match self {
            Features::Frames { takes, strands } => Pair { nucleotide: takes.nucleotide || strands, ..takes },
            Features::Joint { .. } => Pair { nucleotide: true, protein: true },
        }
    }

    /// How each model's hidden states become an embedding.
    pub(super) fn pools(self) -> Pair<Pool> {
        match self {
            Features::Frames { .. } => Pair { nucleotide: Pool::Mean, protein: Pool::Mean },
            Features::Joint { .. } => Pair { nucleotide: Pool::MeanMax, protein: Pool::Mean },
        }
    }

    /// What the models read of a chunk.
    pub(super) fn reading(self) -> ChunkReading {
        match self {
            Features::Frames { takes, strands } => ChunkReading::OpenFrames { frames: takes, strands },
            Features::Joint { .. } => ChunkReading::SixFrames,
        }
    }

    /// The sequences whose embeddings a chunk's rows take, each with its model.
    pub(super) fn sequences(self, chunk: &Chunk) -> impl Iterator<Item = (Alphabet, u64)> {
        let takes = match self {
            Features::Frames { takes, .. } => takes,
            // The codons of an open frame are among those of all six.
            Features::Joint { .. } => Pair { nucleotide: false, protein: true },
        };
        let of_frames = chunk.frames.iter().flat_map(move |frame| {
            let both = takes.zip(frame.sequences).into_iter();
            both.filter_map(|(alphabet, (is_taken, sequence))| is_taken.then_some((alphabet, sequence)))
        });
        of_frames.chain(chunk.whole.sequences())
    }

    /// Appends the rows of a chunk whose embeddings are all there.
    pub(super) fn add_rows(self, chunk: &Chunk, vectors: &Pair<Vectors>, rows: &mut Rows) {
        match (self, &chunk.whole) {
            (Features::Joint { widths }, WholeChunk::SixFrames(six)) => {
                joint_rows(widths, chunk, six, vectors, rows);
            }
            _ => {
                let is_closed = chunk.frames.is_empty();
                let rows = if is_closed { &mut rows.whole } else { &mut rows.frames };
                for (alphabet, sequence) in self.sequences(chunk) {
                    rows.extend_from_slice(vectors[alphabet].get(sequence).unwrap_or_default());
                }
            }
        }
    }
}

/// How many rows of a chunk are of it as a whole.
pub(super) fn whole_rows(chunk: &Chunk) -> usize {
    match &chunk.whole {
        WholeChunk::Nothing => 0,
        WholeChunk::Strands(both) => both.len(),
        WholeChunk::SixFrames(_) => usize::from(chunk.frames.is_empty()),
    }
}

/// Values of a joint row, for embeddings of these widths.
fn joint_width(widths: Pair<usize>) -> usize {
    2 * widths.nucleotide + widths.protein + FACTS
}

fn joint_rows(widths: Pair<usize>, chunk: &Chunk, six: &SixFrames, vectors: &Pair<Vectors>, rows: &mut Rows) {
    let frames = six.codons.iter().filter_map(|number| vectors.nucleotide.get(*number));
    let of_chunk = mean_and_largest(widths.nucleotide, frames);
    let is_open = !chunk.frames.is_empty();
    let proteins: Vec<Option<u64>> = match is_open {
        true => chunk.frames.iter().map(|frame| Some(frame.sequences.protein)).collect(),
        false => vec![six.partial],
    };
    let to = if is_open { &mut rows.frames } else { &mut rows.whole };
    for number in proteins {
        to.extend_from_slice(&of_chunk);
        let start = to.len();
        to.extend_from_slice(number.and_then(|number| vectors.protein.get(number)).unwrap_or_default());
        to.resize(start + widths.protein, 0.0);
        let is_partial = !is_open && number.is_some();
        to.extend([f32::from(is_open), f32::from(is_partial), chunk.frames.len() as f32 / 6.0, six.gc]);
    }
}

/// The mean of embeddings, then their largest values; zeros where there is none.
fn mean_and_largest<'a>(width: usize, embeddings: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut both = vec![0.0; 2 * width];
    let (mean, largest) = both.split_at_mut(width);
    let mut count = 0;
    for embedding in embeddings {
        for ((sum, most), value) in mean.iter_mut().zip(&mut *largest).zip(embedding) {
            *sum += value;
            *most = if count == 0 { *value } else { most.max(*value) };
        }
        count += 1;
    }
    mean.iter_mut().for_each(|sum| *sum /= count.max(1) as f32);
    both
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use virpack_seq::Frame;
    use virpack_seq::frames::ChunkFrame;

    use super::*;

    const JOINT: Features = Features::Joint { widths: Pair { nucleotide: 2, protein: 3 } };

    fn chunk(proteins: &[u64], codons: &[u64], partial: Option<u64>) -> Chunk {
        let frame = |&protein| {
            let sequences = Pair { nucleotide: codons[0], protein };
            ChunkFrame { frame: Frame::F1, codons: 0..3, sequences }
        };
        let frames = proteins.iter().map(frame).collect();
        let whole = WholeChunk::SixFrames(SixFrames { codons: codons.to_vec(), partial, gc: 0.25 });
        Chunk { number: 0, bases: 0..3, frames, whole, oldest: Pair::default() }
    }

    fn rows(features: Features, chunk: &Chunk) -> Rows {
        let mut vectors = Pair { nucleotide: 2, protein: 3 }.map(|width| Vectors::new(width, HashMap::new()));
        for (number, value) in [(0, [1.0, -1.0]), (1, [3.0, -3.0]), (2, [2.0, -5.0])] {
            assert_eq!(vectors.nucleotide.put(number, &value).count(), 0);
        }
        for number in 0..2u8 {
            assert_eq!(vectors.protein.put(number.into(), &[f32::from(number) + 0.5; 3]).count(), 0);
        }
        let mut rows = Rows::default();
        features.add_rows(chunk, &vectors, &mut rows);
        rows
    }

    #[test]
    fn joint_rows_hold_all_frames_and_a_protein_each() {
        let open = chunk(&[1, 0], &[0, 1, 2], None);
        let of_chunk = [2.0, -3.0, 3.0, -1.0];
        let facts = [1.0, 0.0, 2.0 / 6.0, 0.25];
        let expected = [&of_chunk[..], &[1.5; 3], &facts, &of_chunk, &[0.5; 3], &facts].concat();
        assert_eq!(rows(JOINT, &open), Rows { frames: expected, whole: Vec::new() });
        let expected = [(Alphabet::Proteins, 1), (Alphabet::Proteins, 0)];
        let codons = [0, 1, 2].map(|number| (Alphabet::Nucleotides, number));
        assert_eq!(JOINT.sequences(&open).collect::<Vec<_>>(), [&expected[..], &codons].concat());
        assert_eq!(whole_rows(&open), 0);
    }

    #[test]
    fn a_chunk_without_an_open_frame_has_one_joint_row() {
        for (partial, protein, is_partial) in [(Some(1), 1.5, 1.0), (None, 0.0, 0.0)] {
            let closed = chunk(&[], &[2], partial);
            let expected = [2.0, -5.0, 2.0, -5.0, protein, protein, protein, 0.0, is_partial, 0.0, 0.25];
            assert_eq!(rows(JOINT, &closed), Rows { frames: Vec::new(), whole: expected.to_vec() });
            assert_eq!(whole_rows(&closed), 1);
        }
        let unread = Chunk { whole: WholeChunk::Nothing, ..chunk(&[], &[0], None) };
        assert_eq!((rows(JOINT, &unread), whole_rows(&unread)), (Rows::default(), 0));
    }

    #[test]
    fn strands_are_rows_of_their_own() {
        let takes = Pair { nucleotide: true, protein: true };
        let features = Features::Frames { takes, strands: true };
        let strands = Chunk { whole: WholeChunk::Strands([0, 2]), ..chunk(&[], &[0], None) };
        let expected = Rows { frames: Vec::new(), whole: vec![1.0, -1.0, 2.0, -5.0] };
        assert_eq!((rows(features, &strands), whole_rows(&strands)), (expected, 2));
        let open = Chunk { whole: WholeChunk::Nothing, ..chunk(&[1], &[0], None) };
        let expected = Rows { frames: vec![1.0, -1.0, 1.5, 1.5, 1.5], whole: Vec::new() };
        assert_eq!((rows(features, &open), whole_rows(&open)), (expected, 0));
        assert_eq!(features.needs(), takes);
    }
}
