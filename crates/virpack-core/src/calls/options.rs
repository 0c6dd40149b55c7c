//! The options on which calls and their files depend, beside the scores.

use crate::error::{Error, SettingProblem};
use crate::options::setters;
use crate::verdict::{CallThresholds, ContigRule, Prevalence};

use super::scores::Scores;
use super::track::Draw;
use super::virnucpro::Compat;

/// What is called viral, which share of records is expected to be viral, and which files list the calls.
///
/// ```
/// use virpack_core::calls::{CallOptions, Compat};
/// use virpack_core::verdict::{CallThresholds, ContigRule};
///
/// let options = CallOptions::default().thresholds(CallThresholds::STRICT).min_chunk_score(0.9);
/// let options = options.compat(Compat::VirNucPro).contigs(ContigRule::default().min_chunks(3));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallOptions {
    pub(crate) thresholds: CallThresholds,
    pub(crate) min_chunk_score: Option<f32>,
    pub(crate) prevalence: Prevalence,
    pub(crate) compat: Option<Compat>,
    pub(crate) contigs: Option<ContigRule>,
    pub(crate) plot: Option<Draw>,
    pub(crate) max_plots: usize,
}

impl Default for CallOptions {
    fn default() -> Self {
        CallOptions {
            thresholds: CallThresholds::default(),
            min_chunk_score: None,
            prevalence: Prevalence::default(),
            compat: None,
            contigs: None,
            plot: None,
            max_plots: 100,
        }
    }
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
        /// Sets the columns of VirNucPro's two files; `None`: the files are not written.
        compat: impl Into<Option<Compat>>,
        /// Sets the rule of `contigs.tsv`, the calls of viral-pipelines; `None`: the file is not written.
        contigs: impl Into<Option<ContigRule>>,
        /// Sets the function that plots the score along viral and uncertain records of several chunks, into
        /// `plots/`, with one plot of all of them; `None`: there are no plots.
        plot: impl Into<Option<Draw>>,
        /// Sets how many records are plotted at most, the best first; the default is 100.
        max_plots: usize,
    }

    /// Checks that shares are between 0 and 1.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let given = self.min_chunk_score.map_or(0.0, f64::from);
        if !(0.0..=1.0).contains(&given) {
            return Err(SettingProblem::NoShare { setting: "min_chunk_score", given }.into());
        }
        self.contigs.map_or(Ok(()), |rule| rule.check())
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
