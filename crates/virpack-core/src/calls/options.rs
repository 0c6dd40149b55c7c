//! The options on which a call depends, beside the scores.

use crate::error::{Error, SettingProblem};
use crate::options::setters;
use crate::verdict::{CallThresholds, Prevalence};

use super::scores::Scores;

/// What is called viral, and which share of records is expected to be viral.
///
/// ```
/// use virpack_core::calls::CallOptions;
/// use virpack_core::verdict::CallThresholds;
///
/// let options = CallOptions::default().thresholds(CallThresholds::STRICT).min_chunk_score(0.9);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CallOptions {
    pub(crate) thresholds: CallThresholds,
    pub(crate) min_chunk_score: Option<f32>,
    pub(crate) prevalence: Prevalence,
}

impl CallOptions {
    setters! {
        /// Sets the scores at which a record is called viral or cellular.
        thresholds: CallThresholds,
        /// Sets the lowest `score_virus` that a viral chunk must reach with one of its frames, in addition
        /// to reaching its highest `score_other`; None: no minimum, as in VirNucPro. It changes counts of
        /// chunks, and no call.
        min_chunk_score: impl Into<Option<f32>>,
        /// Sets the expected share of viral records, on which `fdr` depends.
        prevalence: Prevalence,
    }

    /// Checks that shares are between 0 and 1.
    pub(super) fn check(&self) -> Result<(), Error> {
        let given = self.min_chunk_score.map_or(0.0, f64::from);
        if (0.0..=1.0).contains(&given) {
            Ok(())
        } else {
            Err(SettingProblem::NoShare { setting: "min_chunk_score", given }.into())
        }
    }

    /// Returns the verdict on a chunk with these highest scores.
    pub(crate) fn is_viral(&self, highest: Scores) -> bool {
        highest.is_viral() && self.min_chunk_score.is_none_or(|least| highest.virus >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_viral_by_its_highest_scores() {
        let plain = CallOptions::default();
        let is_viral = |options: CallOptions, other, virus| options.is_viral(Scores { other, virus });
        assert!(is_viral(plain, 0.5, 0.5));
        // The highest scores may come from two frames.
        assert!(is_viral(plain, 0.9, 0.95));
        assert!(!is_viral(plain, 0.95, 0.9));
        assert!(!is_viral(plain.min_chunk_score(0.96), 0.9, 0.95));
        assert!(is_viral(plain.min_chunk_score(0.96), 0.9, 0.96));
        assert_eq!(Scores { other: 0.5, virus: 0.5 }.label(), "others");
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        for (given, is_share) in [(0.0, true), (1.0, true), (-0.5, false), (1.5, false), (f32::NAN, false)] {
            assert_eq!(CallOptions::default().min_chunk_score(given).check().is_ok(), is_share, "{given}");
        }
    }
}
