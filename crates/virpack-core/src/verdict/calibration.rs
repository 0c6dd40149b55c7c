//! Turns the evidence of a record into its score.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use virpack_seq::reader::hex;

use super::curves::{Curves, Prevalence, expected_false};
use super::evidence::{CLIP, Evidence};
use super::facts::{CalibrationError, JsonMembers};
use super::segments::SegmentModel;

/// The score of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RecordScore {
    /// `virus_score`, 0 to 1.
    pub score: f64,
    /// `ln(score / (1 - score))`, which resolves scores near 1.
    pub logit: f64,
    /// The number of chunks that it is based on.
    pub classified: u64,
}

impl RecordScore {
    fn of(logit: f64, classified: u64) -> Self {
        RecordScore { score: 1.0 / (1.0 + (-logit).exp()), logit, classified }
    }
}

/// Returns the score of a record without a calibration: the mean log-odds `x` as odds, `1 / (1 + exp(-x))`;
/// None without a classified chunk.
#[must_use]
pub(crate) fn uncalibrated_score(evidence: &Evidence) -> Option<RecordScore> {
    evidence.mean().map(|mean| RecordScore::of(mean, evidence.classified()))
}

/// The calibration of a model's records, for each chunk length that it was fitted for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordCalibration {
    /// The text of the file.
    text: String,
    model: String,
    lengths: BTreeMap<usize, LengthCalibration>,
}

/// The calibration for one chunk length.
///
/// It is Platt's logistic (1999), with coefficients that depend on the number `n` of classified chunks:
/// with `x` the mean of their clipped log-odds, in nats, `virus_score = 1 / (1 + exp(-(a(n) + b(n) x)))`.
/// `a` and `b` are linear in `ln n` between knots and constant outside them. It was fitted with a weight of
/// one half each for viral and cellular records.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LengthCalibration {
    /// Classified chunks at the knots, ascending.
    chunks: Vec<f64>,
    intercept: Vec<f64>,
    slope: Vec<f64>,
    curves: Curves,
    segments: SegmentModel,
}

impl RecordCalibration {
    /// Reads the data file that `training/verdicts.py` writes.
    ///
    /// # Errors
    ///
    /// [`CalibrationError`] for text that is not JSON, for missing and for unknown members, and for numbers
    /// that give a score which decreases with the evidence.
    pub(crate) fn parse(text: &str) -> Result<Self, CalibrationError> {
        let mut facts = JsonMembers::parse(text)?;
        let model = facts.text("model")?;
        facts.text("made_by")?;
        facts.text("fitted_on")?;
        let clip = facts.number("clip")?;
        if (clip - CLIP).abs() > 1e-12 {
            return Err(facts.error(format!("`clip` is {clip}; this program clips log-odds at {CLIP}")));
        }
        let mut by_length = facts.object("lengths")?;
        let mut lengths = BTreeMap::new();
        for name in by_length.names() {
            let length =
                name.parse().map_err(|_| by_length.error(format!("{name:?} is not a number of bases")))?;
            lengths.insert(length, LengthCalibration::take(by_length.object(&name)?)?);
        }
        by_length.finish()?;
        facts.finish()?;
        Ok(RecordCalibration { text: text.to_owned(), model, lengths })
    }

    /// Returns the name of the model that it was fitted for.
    #[must_use]
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Returns the text that it was read from.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the SHA-256 of its text, in hexadecimal digits.
    #[must_use]
    pub(crate) fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.text))
    }

    /// Returns the calibration for chunks of this number of bases, if it was fitted for such chunks.
    #[must_use]
    pub(crate) fn for_length(&self, length: usize) -> Option<&LengthCalibration> {
        self.lengths.get(&length)
    }
}

impl LengthCalibration {
    fn take(mut facts: JsonMembers) -> Result<Self, CalibrationError> {
        let [chunks, intercept, slope] =
            [facts.numbers("chunks")?, facts.numbers("intercept")?, facts.numbers("slope")?];
        if chunks.is_empty() || chunks[0] < 1.0 || !chunks.is_sorted_by(|a, b| a < b) {
            return Err(facts.error("`chunks` must be rising numbers of at least 1"));
        }
        if [intercept.len(), slope.len()] != [chunks.len(); 2] {
            return Err(facts.error("`intercept` and `slope` must have a number for each of `chunks`"));
        }
        if slope.iter().any(|&slope| slope <= 0.0) {
            return Err(facts.error("every `slope` must be more than 0"));
        }
        let curves = Curves::take(&mut facts, chunks.len())?;
        let segments = SegmentModel::take(facts.object("segments")?)?;
        facts.finish()?;
        Ok(LengthCalibration { chunks, intercept, slope, curves, segments })
    }

    /// Returns the score of a record; None without a classified chunk.
    #[must_use]
    pub(crate) fn score(&self, evidence: &Evidence) -> Option<RecordScore> {
        let mean = evidence.mean()?;
        let weights = self.weights(evidence.classified());
        let mixed =
            |values: &[f64]| values.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>();
        Some(RecordScore::of(mixed(&self.intercept) + mixed(&self.slope) * mean, evidence.classified()))
    }

    /// Returns the expected share of false calls among records that score at least as much as this one and
    /// have as many classified chunks, where `prevalence` of such records are viral.
    ///
    /// It is `(1 - π) C / ((1 - π) C + π V)`, with `C` and `V` the shares of held-out cellular and viral
    /// records that score as much. It depends only on this record and on `prevalence`.
    #[must_use]
    pub(crate) fn fdr(&self, record: &RecordScore, prevalence: Prevalence) -> f64 {
        expected_false(self.curves.ratio(record.logit, &self.weights(record.classified)), prevalence)
    }

    /// Returns the shares `[viral, cellular]` of held-out records that score at least `score`, recall and
    /// false positive rate of a threshold, mixed over knots by `weights`.
    #[must_use]
    pub(crate) fn shares(&self, score: f64, weights: &[f64]) -> [f64; 2] {
        self.curves.shares((score / (1.0 - score)).ln(), weights)
    }

    /// Returns how regions are found with this model.
    #[must_use]
    pub(crate) fn segments(&self) -> &SegmentModel {
        &self.segments
    }

    /// Returns the weight of each knot for records with this number of classified chunks. The weights add
    /// up to 1 and are linear in the logarithm.
    #[must_use]
    pub(crate) fn weights(&self, classified: u64) -> Vec<f64> {
        let chunks = classified as f64;
        let mut weights = vec![0.0; self.chunks.len()];
        let after = self.chunks.partition_point(|&knot| knot <= chunks);
        match (after.checked_sub(1), self.chunks.get(after)) {
            (None, _) => weights[0] = 1.0,
            (Some(before), None) => weights[before] = 1.0,
            (Some(before), Some(next)) => {
                let share = (chunks / self.chunks[before]).ln() / (next / self.chunks[before]).ln();
                (weights[before], weights[after]) = (1.0 - share, share);
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests;
