//! Finds regions along a record with a chain of two states over its chunks.
//!
//! Each base is *cell* or *virus*. The state changes at a rate per base ([`SegmentModel::enter`],
//! [`SegmentModel::leave`]), and a chunk is evidence for one of them: its calibrated log-likelihood ratio.
//! Forward-backward (L. R. Rabiner, *A tutorial on hidden Markov models*, Proc. IEEE 77, 1989) gives the
//! probability of *virus* at each chunk given all chunks. A region is a run of chunks whose probability is at
//! least a half.

use std::ops::Range;

use super::evidence::log_odds;
use super::facts::{CalibrationError, JsonMembers};

/// A chunk of a record: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ChunkEvidence {
    /// Its first base, from 0.
    start: u64,
    /// Bases.
    length: u32,
    /// Log-odds in nats; NaN without a verdict.
    log_odds: f32,
}

impl ChunkEvidence {
    /// Returns the evidence of a chunk: its bases, from 0, and its highest scores `[other, virus]`, if it has
    /// a verdict.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clipped log-odds need no more digits than scores have"
    )]
    pub(crate) fn new(bases: &Range<usize>, highest: Option<[f32; 2]>) -> Self {
        ChunkEvidence {
            start: bases.start as u64,
            length: u32::try_from(bases.len()).unwrap_or(u32::MAX),
            log_odds: highest.map_or(f32::NAN, |highest| log_odds(highest) as f32),
        }
    }

    fn bases(&self) -> Range<u64> {
        self.start..self.start + u64::from(self.length)
    }

    fn log_odds(&self) -> Option<f64> {
        (!self.log_odds.is_nan()).then(|| f64::from(self.log_odds))
    }
}

/// The kind of a record's regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionKind {
    /// Candidate proviruses: regions of a record that is called cellular or uncertain.
    Provirus,
    /// The viral part or parts of a record that is called viral.
    Viral,
}

impl RegionKind {
    /// Returns the word that the tables hold.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RegionKind::Provirus => "provirus",
            RegionKind::Viral => "viral",
        }
    }
}

/// A region of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its bases, from 0: from the first base of its first chunk to the last base of its last chunk.
    pub bases: Range<usize>,
    /// The kind of the region.
    pub kind: RegionKind,
    /// Its chunks, those without a verdict included.
    pub chunks: u64,
    /// Its chunks with a verdict.
    pub classified: u64,
    /// The sum of its chunks' log-likelihood ratios, in nats.
    pub score: f64,
    /// The mean probability of *virus* over its chunks.
    pub mean_posterior: f64,
}

/// The log-odds of a typical cellular genome, and the weight of a record's own.
///
/// Some genomes look more viral than others throughout. In a cellular record with enough chunks, a share of
/// the difference between its own median and the typical one is subtracted from every chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Background {
    /// The typical median, in nats.
    pub median: f64,
    /// The share of the difference that is subtracted, 0 to 1.
    pub share: f64,
    /// The fewest classified chunks for which a record's own median is used.
    pub least_chunks: usize,
}

/// How regions are found. The log-likelihood ratio of a chunk is `offset + slope x`, clipped to ± `limit`,
/// with `x` its log-odds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SegmentModel {
    /// In nats.
    pub offset: f64,
    /// Nats of log-likelihood ratio for each nat of log-odds.
    pub slope: f64,
    /// The most that a chunk counts, in nats.
    pub limit: f64,
    /// Rate per base of entering a provirus from its host, in a cellular record; of leaving the virus, in a
    /// viral record.
    pub enter: f64,
    /// Rate per base of leaving a provirus; of entering the virus, in a viral record.
    pub leave: f64,
    /// The fewest bases of a candidate provirus.
    pub least_bases: usize,
    /// The lowest score of a candidate provirus, in nats.
    pub least_score: f64,
    /// The typical genome.
    pub background: Background,
}

/// The regions of a record, and each chunk's probability of *virus*.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Segments {
    /// The probability for each chunk, in order, 0 to 1.
    pub posterior: Vec<f32>,
    /// The regions, the highest score first.
    pub regions: Vec<Region>,
}

impl Default for SegmentModel {
    /// Returns the model for classifiers without a fit: chunk scores are used unchanged, and each chunk
    /// counts half, because neighbours are correlated.
    fn default() -> Self {
        SegmentModel {
            offset: 0.0,
            slope: 0.5,
            limit: 1.5,
            enter: 1.0 / 300_000.0,
            leave: 1.0 / 20_000.0,
            least_bases: 6_000,
            least_score: 6.0,
            background: Background { median: 0.0, share: 0.0, least_chunks: usize::MAX },
        }
    }
}

impl SegmentModel {
    /// Removes all members from `facts`.
    pub(super) fn take(mut facts: JsonMembers) -> Result<Self, CalibrationError> {
        let whole =
            |value: f64| (value >= 0.0 && value.fract() == 0.0 && value < 1e15).then_some(value as usize);
        let mut background = facts.object("background")?;
        let model = SegmentModel {
            offset: facts.number("offset")?,
            slope: facts.number("slope")?,
            limit: facts.number("limit")?,
            enter: facts.number("enter")?,
            leave: facts.number("leave")?,
            least_bases: whole(facts.number("least_bases")?)
                .ok_or_else(|| facts.error("`least_bases` must be a whole number"))?,
            least_score: facts.number("least_score")?,
            background: Background {
                median: background.number("median")?,
                share: background.number("share")?,
                least_chunks: whole(background.number("least_chunks")?)
                    .ok_or_else(|| background.error("`least_chunks` must be a whole number"))?,
            },
        };
        background.finish()?;
        let rates = [model.enter, model.leave].iter().all(|rate| *rate > 0.0 && *rate < 1.0);
        if !rates
            || model.slope <= 0.0
            || model.limit <= 0.0
            || !(0.0..=1.0).contains(&model.background.share)
        {
            return Err(facts.error(
                "`slope` and `limit` must be more than 0, `enter` and `leave` within 0 to 1, `share` 0 to 1",
            ));
        }
        facts.finish()?;
        Ok(model)
    }

    /// Returns the log-likelihood ratio of each chunk, in nats; 0 without a verdict.
    ///
    /// Chunks of a record overlap if its length is not a multiple of the chunk length. A chunk counts by
    /// the share of its bases that belong to it; half of an overlap belongs to each of two neighbours.
    fn evidence(&self, chunks: &[ChunkEvidence], kind: RegionKind) -> Vec<f32> {
        let shift = match kind {
            RegionKind::Provirus => self.shift(chunks),
            RegionKind::Viral => 0.0,
        };
        let ratio = |(i, chunk): (usize, &ChunkEvidence)| {
            let Some(log_odds) = chunk.log_odds() else { return 0.0 };
            let bases = chunk.bases();
            let before = i.checked_sub(1).map_or(0, |i| chunks[i].bases().end.saturating_sub(bases.start));
            let after = chunks.get(i + 1).map_or(0, |next| bases.end.saturating_sub(next.start));
            let own = 1.0 - (before + after) as f64 / 2.0 / f64::from(chunk.length.max(1));
            let ratio = self.offset + self.slope * (log_odds - shift);
            #[expect(clippy::cast_possible_truncation, reason = "scores have no more digits")]
            let ratio = (own.max(0.0) * ratio.clamp(-self.limit, self.limit)) as f32;
            ratio
        };
        chunks.iter().enumerate().map(ratio).collect()
    }

    /// Returns what is subtracted from the log-odds of a cellular record's chunks.
    fn shift(&self, chunks: &[ChunkEvidence]) -> f64 {
        let Background { median, share, least_chunks } = self.background;
        if share == 0.0 {
            return 0.0;
        }
        let mut known: Vec<f32> = chunks.iter().map(|c| c.log_odds).filter(|x| !x.is_nan()).collect();
        if known.is_empty() || known.len() < least_chunks {
            return 0.0;
        }
        let middle = (known.len() - 1) / 2;
        let (_, own, _) = known.select_nth_unstable_by(middle, f32::total_cmp);
        share * (f64::from(*own) - median)
    }

    /// Returns the rates from *cell* to *virus* and back, per base.
    fn rates(&self, kind: RegionKind) -> [f64; 2] {
        match kind {
            RegionKind::Provirus => [self.enter, self.leave],
            RegionKind::Viral => [self.leave, self.enter],
        }
    }
}

/// The log-probabilities of the state some bases later.
struct Moves {
    /// From *cell* to *virus*, and to *cell*.
    into: f64,
    cell: f64,
    /// From *virus* to *cell*, and to *virus*.
    out: f64,
    virus: f64,
}

impl Moves {
    /// Returns those of a continuous-time chain after `bases` bases.
    fn over(bases: f64, [enter, leave]: [f64; 2]) -> Self {
        let forgotten = -(-(enter + leave) * bases).exp_m1();
        let [into, out] = [enter, leave].map(|rate| rate / (enter + leave) * forgotten);
        Moves { into: into.ln(), cell: (-into).ln_1p(), out: out.ln(), virus: (-out).ln_1p() }
    }
}

/// Returns `ln(1 + exp(x))`.
fn ln_1p_exp(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Finds the regions of a record from all its chunks, in order.
///
/// Time and memory are proportional to the number of chunks: about 30 bytes each during the call, beside
/// the chunks.
#[must_use]
pub(crate) fn segments(chunks: &[ChunkEvidence], kind: RegionKind, model: &SegmentModel) -> Segments {
    let ratios = model.evidence(chunks, kind);
    let posterior = posteriors(chunks, &ratios, model.rates(kind));
    let mut regions = Vec::new();
    let mut start = 0;
    while start < chunks.len() {
        let run = posterior[start..].iter().take_while(|p| **p >= 0.5).count();
        if run > 0 {
            let of = start..start + run;
            regions.extend(region(&chunks[of.clone()], &ratios[of.clone()], &posterior[of], kind, model));
        }
        start += run.max(1);
    }
    regions.sort_by(|a: &Region, b| b.score.total_cmp(&a.score).then(a.bases.start.cmp(&b.bases.start)));
    Segments { posterior, regions }
}

/// Returns the probability of *virus* at each chunk. Odds are kept as logarithms, so nothing overflows.
fn posteriors(chunks: &[ChunkEvidence], ratios: &[f32], rates: [f64; 2]) -> Vec<f32> {
    let moves = |i: usize| {
        let bases = chunks[i + 1].start.saturating_sub(chunks[i].start).max(1);
        Moves::over(bases as f64, rates)
    };
    // Odds of *virus* given the chunks up to this one.
    let mut odds: Vec<f64> = Vec::with_capacity(chunks.len());
    let mut before = (rates[0] / rates[1]).ln();
    for (i, ratio) in ratios.iter().enumerate() {
        if i > 0 {
            let Moves { into, cell, out, virus } = moves(i - 1);
            before = into + ln_1p_exp(before + virus - into) - cell - ln_1p_exp(before + out - cell);
        }
        before += f64::from(*ratio);
        odds.push(before);
    }
    // The log-likelihood ratio of the chunks after this one, given *virus*.
    let mut after = 0.0;
    for i in (0..chunks.len().saturating_sub(1)).rev() {
        let Moves { into, cell, out, virus } = moves(i);
        let next = after + f64::from(ratios[i + 1]);
        after = out + ln_1p_exp(next + virus - out) - cell - ln_1p_exp(next + into - cell);
        odds[i] += after;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a probability to seven digits")]
    odds.into_iter().map(|odds| (1.0 / (1.0 + (-odds).exp())) as f32).collect()
}

/// Returns a run of chunks as a region, if it is long enough, scores enough and has a chunk with a verdict.
fn region(
    chunks: &[ChunkEvidence],
    ratios: &[f32],
    posterior: &[f32],
    kind: RegionKind,
    model: &SegmentModel,
) -> Option<Region> {
    let (first, last) = (chunks.first()?, chunks.last()?);
    let bases = usize::try_from(first.start).ok()?..usize::try_from(last.bases().end).ok()?;
    let classified = chunks.iter().filter(|chunk| chunk.log_odds().is_some()).count() as u64;
    let sum = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>();
    let score = sum(ratios);
    let enough =
        kind == RegionKind::Viral || (bases.len() >= model.least_bases && score >= model.least_score);
    (enough && classified > 0).then(|| Region {
        bases,
        kind,
        chunks: chunks.len() as u64,
        classified,
        score,
        mean_posterior: sum(posterior) / posterior.len() as f64,
    })
}

#[cfg(test)]
mod tests;
