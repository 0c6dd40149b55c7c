//! How the records of a run are scored: by the calibration of its model, if there is one for its chunks.

use crate::verdict::{
    Evidence, LengthCalibration, Prevalence, RecordCalibration, RecordScore, SegmentModel, uncalibrated_score,
};

/// How the records of a run are scored.
#[derive(Clone, Debug)]
pub(crate) struct RecordScoring {
    /// The name of the model, and its calibration for chunks of the run's length.
    fitted: Option<(String, LengthCalibration)>,
}

impl RecordScoring {
    /// For chunks of so many bases.
    pub(crate) fn new(calibration: Option<&RecordCalibration>, chunk_length: usize) -> Self {
        let fitted = calibration.and_then(|calibration| {
            let fitted = calibration.for_length(chunk_length)?.clone();
            Some((calibration.model().to_owned(), fitted))
        });
        RecordScoring { fitted }
    }

    /// The name of the model whose records it was fitted on.
    pub(crate) fn model(&self) -> Option<&str> {
        self.fitted.as_ref().map(|(model, _)| model.as_str())
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

    pub(super) fn segments(&self) -> SegmentModel {
        self.fitted.as_ref().map_or_else(SegmentModel::default, |(_, fitted)| *fitted.segments())
    }
}
