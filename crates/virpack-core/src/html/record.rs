//! The facts of a record that a page needs.

use std::ops::Range;

use crate::verdict::{Call, RegionKind};

/// A record of the run, with everything that a page may show of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageRecord<'a> {
    /// Its id. Pages show the first 1,000 letters.
    pub(crate) id: &'a str,
    /// The rest of its header.
    pub(crate) description: &'a str,
    /// The input that it comes from, if there are several.
    pub(crate) source: Option<&'a str>,
    /// Its bases.
    pub(crate) length: u64,
    /// Its call; None: it is not judged.
    pub(crate) call: Option<Call>,
    /// The word in the column `status` of `sequences.tsv`.
    pub(crate) status: &'a str,
    /// Its `virus_score`, from 0 to 1; None: it is not judged.
    pub(crate) score: Option<f64>,
    /// The expected share of false calls among records with at least its score.
    pub(crate) fdr: Option<f64>,
    /// All its chunks, in their order.
    pub(crate) chunks: &'a [PageChunk<'a>],
    /// Chunks with a verdict.
    pub(crate) chunks_classified: u64,
    /// Chunks that are viral.
    pub(crate) chunks_viral: u64,
    /// Chunks whose verdict comes from their nucleotides alone.
    pub(crate) by_nucleotides: u64,
    /// Its regions, in any order.
    pub(crate) regions: &'a [PageRegion],
}

/// The words of the four calls, in the order of a stack.
pub(super) const CALLS: [&str; 4] = ["viral", "uncertain", "cellular", "unjudged"];

/// Returns the index of a call in [`CALLS`].
pub(super) fn place(call: Option<Call>) -> usize {
    call.map_or(3, |call| call as usize)
}

/// A chunk of a record.
#[derive(Clone, Debug)]
pub(crate) struct PageChunk<'a> {
    /// Its bases in the record, from 0.
    pub(crate) bases: Range<u64>,
    /// The highest scores *other* and *virus* of the chunk; None: it has no verdict.
    pub(crate) scores: Option<[f32; 2]>,
    /// The probability that it is in a viral region, by the hidden Markov model.
    pub(crate) posterior: Option<f32>,
    /// Its open frames.
    pub(crate) frames: &'a [PageFrame],
}

impl PageChunk<'_> {
    /// Returns the share of *virus* in both scores.
    pub(super) fn score(&self) -> Option<f64> {
        let [other, virus] = self.scores.map(|scores| scores.map(f64::from))?;
        Some(if other + virus > 0.0 { virus / (other + virus) } else { 0.5 })
    }
}

/// An open frame of a chunk.
#[derive(Clone, Debug)]
pub(crate) struct PageFrame {
    /// 0 to 5: F1, F2, F3, R1, R2, R3.
    pub(crate) frame: u8,
    /// Its bases in the record, from 0.
    pub(crate) bases: Range<u64>,
    /// Its score *virus*, from 0 to 1.
    pub(crate) score: f32,
}

/// A region of a record that scores like a virus.
#[derive(Clone, Debug)]
pub(crate) struct PageRegion {
    /// Its bases in the record, from 0.
    pub(crate) bases: Range<u64>,
    /// Whether the record is viral, or a cellular one with a candidate provirus.
    pub(crate) kind: RegionKind,
    /// Its score; higher is better.
    pub(crate) score: f64,
}

/// Returns the first `most` letters of `text`, with … where there are more, and a space for each line end.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut letters = text.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c });
    let mut text: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        text.push('…');
    }
    text
}
