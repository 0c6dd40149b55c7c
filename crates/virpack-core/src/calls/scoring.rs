//! How the records of a run are scored: by the calibration of its model, if there is one for its chunks.

use crate::verdict::{
    Evidence, LengthCalibration, Prevalence, RecordCalibration, RecordScore, SegmentModel, uncalibrated_score,
};

/// How the records of a run are scored.
#[derive(Clone, Debug)]
pub(crate) struct RecordScoring {
    /// The calibration of the model, and that for chunks of the run's length.
    fitted: Option<(RecordCalibration, LengthCalibration)>,
}

impl RecordScoring {
    /// For chunks of so many bases.
    pub(crate) fn new(calibration: Option<&RecordCalibration>, chunk_length: usize) -> Self {
        let fitted = calibration.and_then(|calibration| {
            let fitted = calibration.for_length(chunk_length)?.clone();
            Some((calibration.clone(), fitted))
        });
        RecordScoring { fitted }
    }

    /// The calibration of the model, where there is one for such chunks.
    pub(crate) fn calibration(&self) -> Option<&RecordCalibration> {
        self.fitted.as_ref().map(|(calibration, _)| calibration)
    }

    pub(super) fn score(&self, evidence: &Evidence) -> Option<RecordScore> {
        match &self.fitted {
            Some((_, fitted)) => fitted.score(evidence),
            None => uncalibrated_score(evidence),
        }
    }

    /// None where nothing was fitted.
    pub(super) fn fdr(&self, score: &RecordScore, prevalence: Prevalence) -> Option<f64> {
        self.fitted.as_ref().map(|(_, fitted)| fitted.fdr(score, prevalence))
    }

    /// Adds what each knot of the calibration counts for a record.
    pub(super) fn add_knots(&self, score: &RecordScore, knots: &mut Vec<f64>) {
        let Some((_, fitted)) = &self.fitted else { return };
        let own = fitted.weights(score.classified);
        knots.resize(own.len(), 0.0);
        knots.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    }

    /// The shares `[viral, cellular]` of held-out records that score at least `least`, mixed over knots by
    /// `weights`; none reach it where nothing was fitted.
    pub(super) fn shares(&self, least: f64, weights: &[f64]) -> [f64; 2] {
        self.fitted.as_ref().map_or([0.0; 2], |(_, fitted)| fitted.shares(least, weights))
    }

    pub(super) fn segments(&self) -> SegmentModel {
        self.fitted.as_ref().map_or_else(SegmentModel::default, |(_, fitted)| *fitted.segments())
    }
}
