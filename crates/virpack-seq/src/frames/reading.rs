//! What the two models read of a chunk.

use crate::alphabet::Alphabet;

use super::Pair;

/// What the two models read of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkReading {
    /// Open frames, as VirNucPro reads them.
    OpenFrames {
        /// Which models read open frames.
        frames: Pair<bool>,
        /// Whether the nucleotide model reads chunks without an open frame: both strands, from
        /// their first base.
        strands: bool,
    },
    /// The codons of all six frames, open or not, by the nucleotide model; open frames by the protein
    /// model, and where there is none the longest run of at least [`SHORTEST_PARTIAL`] residues without
    /// a stop.
    SixFrames,
}

/// The least residues of a frame that is read though a stop ends it.
pub const SHORTEST_PARTIAL: usize = 40;

/// What is read of a chunk beside its open frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum WholeChunk {
    /// Nothing: open frames are all, or there is no codon that can be read.
    #[default]
    Nothing,
    /// The chunk itself and its reverse complement, as it has no open frame: their numbers among the
    /// sequences of the nucleotide model.
    Strands([u64; 2]),
    /// The codons of its six frames.
    SixFrames(SixFrames),
}

/// The codons of a chunk's six frames, and what else is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SixFrames {
    /// The numbers of the frames that have a codon, in the order of [`Frame::ALL`](crate::Frame::ALL),
    /// among the sequences of the nucleotide model.
    pub codons: Vec<u64>,
    /// The number of the longest run without a stop among the sequences of the protein model, where no
    /// frame is open and the run is long enough.
    pub partial: Option<u64>,
    /// The share of G and C among its bases.
    pub gc: f32,
}

impl WholeChunk {
    /// Its sequences, each with its model and its number.
    ///
    /// ```
    /// use virpack_seq::Alphabet;
    /// use virpack_seq::frames::WholeChunk;
    ///
    /// let strands: Vec<_> = WholeChunk::Strands([3, 4]).sequences().collect();
    /// assert_eq!(strands, [(Alphabet::Nucleotides, 3), (Alphabet::Nucleotides, 4)]);
    /// ```
    pub fn sequences(&self) -> impl Iterator<Item = (Alphabet, u64)> {
        let (codons, partial): (&[u64], _) = match self {
            WholeChunk::Nothing => (&[], None),
            WholeChunk::Strands(both) => (both, None),
            WholeChunk::SixFrames(six) => (&six.codons, six.partial),
        };
        let codons = codons.iter().map(|number| (Alphabet::Nucleotides, *number));
        codons.chain(partial.map(|number| (Alphabet::Proteins, number)))
    }
}
