//! How the embeddings of a chunk become the rows that classifiers score.

use virpack_device::Pool;
use virpack_model::ModelConfig;
use virpack_model::classifier::{Classifier, Towers};
use virpack_seq::Alphabet;
use virpack_seq::frames::{Chunk, ChunkReading, Pair, WholeChunk};

use super::BundleProblem;
use super::embedding::Embedding;
use crate::Error;

/// What the two models read from a chunk, and how it becomes rows. A chunk has a row for each open frame. If
/// it has none, rows of the whole chunk may replace them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Features {
    /// As in VirNucPro: a frame's embeddings by the models that the classifier takes, concatenated. With
    /// `strands`, another classifier takes each strand of a chunk without an open frame, by its nucleotides
    /// alone.
    Frames { takes: Pair<bool>, strands: bool },
    /// The mean and then the maximum of the codons of all six frames; an open frame's protein, or the longest
    /// partial one; and four facts of the chunk. The widths are those of the models' embeddings.
    Joint { widths: Pair<usize> },
}

/// Facts in a joint row: open frame, partial frame, share of open frames, share of G and C.
const FACTS: usize = 4;

/// The rows of chunks, as classifiers take them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FeatureRows {
    /// Rows of open frames.
    pub(super) frames: Vec<f32>,
    /// Rows of chunks without an open frame.
    pub(super) whole: Vec<f32>,
}

impl FeatureRows {
    /// Removes all rows and keeps their memory.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.whole.clear();
    }
}

/// What the rows of a chunk hold apart from its embeddings.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkFacts {
    /// The number of its embeddings.
    pub(super) embeddings: usize,
    /// The number of its open frames.
    pub(super) frames: usize,
    pub(super) whole: WholeFacts,
}

/// What is read from a chunk as a whole: [`WholeChunk`] without its sequences.
#[derive(Clone, Copy, Debug)]
pub(super) enum WholeFacts {
    Nothing,
    Strands,
    SixFrames { codons: usize, is_partial: bool, gc: f32 },
}

impl WholeFacts {
    /// Returns the facts of a chunk.
    pub(super) fn of(chunk: &Chunk) -> Self {
        match &chunk.whole {
            WholeChunk::Nothing => WholeFacts::Nothing,
            WholeChunk::Strands(_) => WholeFacts::Strands,
            WholeChunk::SixFrames(six) => WholeFacts::SixFrames {
                codons: six.codons.len(),
                is_partial: six.partial.is_some(),
                gc: six.gc,
            },
        }
    }

    /// Returns the number of rows of the whole chunk, given the number of its open frames.
    pub(super) fn rows(self, frames: usize) -> usize {
        match self {
            WholeFacts::Nothing => 0,
            WholeFacts::Strands => 2,
            WholeFacts::SixFrames { .. } => usize::from(frames == 0),
        }
    }
}

impl Features {
    /// Returns what the classifier of open frames, and the nucleotide classifier if there is one, take from
    /// models with these settings.
    ///
    /// # Errors
    ///
    /// Returns an error for classifiers that do not fit the models.
    pub(super) fn of(
        configs: &Pair<ModelConfig>,
        frames: &Classifier,
        nucleotides: Option<&Classifier>,
    ) -> Result<Self, Error> {
        let widths = configs.as_ref().map(ModelConfig::hidden);
        if frames.is_joint() {
            if !matches!(configs.nucleotide, ModelConfig::CodonConv(_)) {
                let (path, family) = (frames.location().path(), configs.nucleotide.family());
                return Err(BundleProblem::Features { path, family }.into());
            }
            let widths = Pair { nucleotide: Pool::MeanMax.width(widths.nucleotide), ..widths };
            let (width, expected) = (frames.input_width(), joint_width(widths));
            return match nucleotides {
                Some(other) => Err(BundleProblem::Beside { path: other.location().path() }.into()),
                None if width != expected => {
                    let path = frames.location().path();
                    Err(BundleProblem::JointWidth { path, width, expected }.into())
                }
                None => Ok(Features::Joint { widths }),
            };
        }
        let takes = frames.check_widths(widths.nucleotide, widths.protein)?;
        let takes = Pair { nucleotide: takes != Towers::Protein, protein: takes != Towers::Nucleotide };
        match nucleotides {
            Some(other) if other.input_width() != widths.nucleotide => {
                let (path, width) = (other.location().path(), other.input_width());
                Err(BundleProblem::NucleotideWidth { path, width, nucleotide: widths.nucleotide }.into())
            }
            _ => Ok(Features::Frames { takes, strands: nucleotides.is_some() }),
        }
    }

    /// Returns which models are needed.
    pub(super) fn needs(self) -> Pair<bool> {
        match self {
            Features::Frames { takes, strands } => Pair { nucleotide: takes.nucleotide || strands, ..takes },
            Features::Joint { .. } => Pair { nucleotide: true, protein: true },
        }
    }

    /// Returns how each model's hidden states are pooled.
    pub(super) fn pools(self) -> Pair<Pool> {
        match self {
            Features::Frames { .. } => Pair { nucleotide: Pool::Mean, protein: Pool::Mean },
            Features::Joint { .. } => Pair { nucleotide: Pool::MeanMax, protein: Pool::Mean },
        }
    }

    /// Returns what the models read from a chunk.
    pub(super) fn reading(self) -> ChunkReading {
        match self {
            Features::Frames { takes, strands } => ChunkReading::OpenFrames { frames: takes, strands },
            Features::Joint { .. } => ChunkReading::SixFrames,
        }
    }

    /// Returns the sequences whose embeddings a chunk's rows take, each with its model.
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

    /// Appends the rows of a chunk, given its embeddings in the order of [`Features::sequences`].
    pub(super) fn add_rows(self, facts: &ChunkFacts, embeddings: &[Embedding], rows: &mut FeatureRows) {
        let rows = if facts.frames == 0 { &mut rows.whole } else { &mut rows.frames };
        match (self, facts.whole) {
            (Features::Joint { widths }, WholeFacts::SixFrames { codons, is_partial, gc }) => {
                let (proteins, others) = embeddings.split_at(facts.frames);
                let (codons, partial) = others.split_at(codons);
                let partial = if is_partial { partial.first() } else { None };
                joint_rows(widths, codons, JointProteins { open: proteins, partial }, gc, rows);
            }
            _ => embeddings.iter().for_each(|embedding| rows.extend_from_slice(embedding)),
        }
    }
}

/// Returns the number of rows of the chunk as a whole.
pub(super) fn whole_rows(chunk: &Chunk) -> usize {
    WholeFacts::of(chunk).rows(chunk.frames.len())
}

/// Returns the values in a joint row, for embeddings of these widths.
fn joint_width(widths: Pair<usize>) -> usize {
    2 * widths.nucleotide + widths.protein + FACTS
}

/// The proteins in a joint row.
struct JointProteins<'a> {
    /// The proteins of open frames.
    open: &'a [Embedding],
    /// The longest partial protein of a chunk without an open frame.
    partial: Option<&'a Embedding>,
}

fn joint_rows(
    widths: Pair<usize>,
    codons: &[Embedding],
    JointProteins { open, partial }: JointProteins<'_>,
    gc: f32,
    rows: &mut Vec<f32>,
) {
    let row = joint_width(widths);
    let is_open = !open.is_empty();
    let first = rows.len();
    rows.resize(first + row * open.len().max(1), 0.0);
    let (own, others) = rows[first..].split_at_mut(row);
    let of_chunk = 2 * widths.nucleotide;
    add_mean_and_largest(codons, &mut own[..of_chunk]);
    for other in others.chunks_exact_mut(row) {
        other[..of_chunk].copy_from_slice(&own[..of_chunk]);
    }
    let is_partial = f32::from(!is_open && partial.is_some());
    let facts = [f32::from(is_open), is_partial, open.len() as f32 / 6.0, gc];
    for (number, own) in rows[first..].chunks_exact_mut(row).enumerate() {
        let protein = if is_open { open.get(number) } else { partial };
        if let Some(protein) = protein {
            own[of_chunk..row - FACTS].copy_from_slice(protein);
        }
        own[row - FACTS..].copy_from_slice(&facts);
    }
}

/// Writes the mean and then the maximum of the embeddings over zeros. Without embeddings the zeros remain.
fn add_mean_and_largest(embeddings: &[Embedding], to: &mut [f32]) {
    let (mean, largest) = to.split_at_mut(to.len() / 2);
    if let Some(first) = embeddings.first() {
        largest.copy_from_slice(first);
    }
    for embedding in embeddings {
        mean.iter_mut().zip(&**embedding).for_each(|(sum, value)| *sum += value);
        largest.iter_mut().zip(&**embedding).for_each(|(most, value)| *most = most.max(*value));
    }
    mean.iter_mut().for_each(|sum| *sum /= embeddings.len().max(1) as f32);
}

#[cfg(test)]
mod tests {
    use virpack_seq::Frame;
    use virpack_seq::frames::{ChunkFrame, SixFrames};

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

    fn rows(features: Features, chunk: &Chunk) -> FeatureRows {
        let nucleotides = [[1.0, -1.0], [3.0, -3.0], [2.0, -5.0]];
        let embedding = |(alphabet, number)| -> Embedding {
            match alphabet {
                Alphabet::Nucleotides => nucleotides[number as usize].to_vec().into(),
                Alphabet::Proteins => vec![number as f32 + 0.5; 3].into(),
            }
        };
        let embeddings: Vec<_> = features.sequences(chunk).map(embedding).collect();
        let (frames, whole) = (chunk.frames.len(), WholeFacts::of(chunk));
        let mut rows = FeatureRows::default();
        features.add_rows(
            &ChunkFacts { embeddings: embeddings.len(), frames, whole },
            &embeddings,
            &mut rows,
        );
        rows
    }

    #[test]
    fn joint_rows_hold_all_frames_and_a_protein_each() {
        let open = chunk(&[1, 0], &[0, 1, 2], None);
        let of_chunk = [2.0, -3.0, 3.0, -1.0];
        let facts = [1.0, 0.0, 2.0 / 6.0, 0.25];
        let expected = [&of_chunk[..], &[1.5; 3], &facts, &of_chunk, &[0.5; 3], &facts].concat();
        assert_eq!(rows(JOINT, &open), FeatureRows { frames: expected, whole: Vec::new() });
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
            assert_eq!(rows(JOINT, &closed), FeatureRows { frames: Vec::new(), whole: expected.to_vec() });
            assert_eq!(whole_rows(&closed), 1);
        }
        let unread = Chunk { whole: WholeChunk::Nothing, ..chunk(&[], &[0], None) };
        assert_eq!((rows(JOINT, &unread), whole_rows(&unread)), (FeatureRows::default(), 0));
    }

    #[test]
    fn strands_are_rows_of_their_own() {
        let takes = Pair { nucleotide: true, protein: true };
        let features = Features::Frames { takes, strands: true };
        let strands = Chunk { whole: WholeChunk::Strands([0, 2]), ..chunk(&[], &[0], None) };
        let expected = FeatureRows { frames: Vec::new(), whole: vec![1.0, -1.0, 2.0, -5.0] };
        assert_eq!((rows(features, &strands), whole_rows(&strands)), (expected, 2));
        let open = Chunk { whole: WholeChunk::Nothing, ..chunk(&[1], &[0], None) };
        let expected = FeatureRows { frames: vec![1.0, -1.0, 1.5, 1.5, 1.5], whole: Vec::new() };
        assert_eq!((rows(features, &open), whole_rows(&open)), (expected, 0));
        assert_eq!(features.needs(), takes);
    }
}
