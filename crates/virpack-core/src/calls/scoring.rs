//! Scores the records of a run, by the calibration of its model if it has one for its chunks.

use crate::verdict::{
    Evidence, LengthCalibration, Prevalence, RecordCalibration, RecordScore, SegmentModel, uncalibrated_score,
};

/// The rule that scores the records of a run.
#[derive(Clone, Debug)]
pub(crate) struct RecordScoring {
    /// The calibration of the model, and its part for chunks of the run's length.
    fitted: Option<(RecordCalibration, LengthCalibration)>,
}

impl RecordScoring {
    /// Returns the rule for chunks of `chunk_length` bases.
    pub(crate) fn new(calibration: Option<&RecordCalibration>, chunk_length: usize) -> Self {
        let fitted = calibration.and_then(|calibration| {
            let fitted = calibration.for_length(chunk_length)?.clone();
            Some((calibration.clone(), fitted))
        });
        RecordScoring { fitted }
    }

    /// Returns the calibration of the model, if it has one for such chunks.
    pub(crate) fn calibration(&self) -> Option<&RecordCalibration> {
        self.fitted.as_ref().map(|(calibration, _)| calibration)
    }

    pub(super) fn score(&self, evidence: &Evidence) -> Option<RecordScore> {
        match &self.fitted {
            Some((_, fitted)) => fitted.score(evidence),
            None => uncalibrated_score(evidence),
        }
    }

    /// Returns the expected share of false calls; None if nothing was fitted.
    pub(super) fn fdr(&self, score: &RecordScore, prevalence: Prevalence) -> Option<f64> {
        self.fitted.as_ref().map(|(_, fitted)| fitted.fdr(score, prevalence))
    }

    /// Adds the weight of each knot of the calibration for a record.
    pub(super) fn add_knots(&self, score: &RecordScore, knots: &mut Vec<f64>) {
        let Some((_, fitted)) = &self.fitted else { return };
        let own = fitted.weights(score.classified);
        knots.resize(own.len(), 0.0);
        knots.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    }

    /// Returns the shares `[viral, cellular]` of held-out records that score at least `least`, mixed over
    /// knots by `weights`; 0 if nothing was fitted.
    pub(super) fn shares(&self, least: f64, weights: &[f64]) -> [f64; 2] {
        self.fitted.as_ref().map_or([0.0; 2], |(_, fitted)| fitted.shares(least, weights))
    }

    pub(super) fn segments(&self) -> SegmentModel {
        self.fitted.as_ref().map_or_else(SegmentModel::default, |(_, fitted)| *fitted.segments())
    }
}
