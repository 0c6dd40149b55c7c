//! How the options of calls are recorded: in a run's identity, and in `run.json`.

use serde_json::{Map, Value, json};

use super::options::CallOptions;
use super::scoring::RecordScoring;
use super::virnucpro::Compat;
use crate::identity::Identity;
use crate::verdict::{ContigRule, RecordCalibration};

/// The names of the options that affect files but no score: [`CallOptions::identify`] sets them all.
const NAMES: [&str; 7] = [
    "least score of a viral record",
    "least score of an uncertain record",
    "least score of a viral chunk",
    "prevalence",
    "VirNucPro's files",
    "contigs",
    "pictures",
];

impl CallOptions {
    /// Adds the options of files to those of scores. A model's calibration belongs to the model, as its
    /// scores do.
    pub(crate) fn identify(&self, scoring: &RecordScoring, identity: &mut Identity) {
        let CallOptions { thresholds, min_chunk_score, prevalence, compat, contigs, plot: _, max_plots: _ } =
            self;
        let none = || "none".to_owned();
        let calibration = |own: &RecordCalibration| format!("{}, SHA-256 {}", own.model(), own.sha256());
        identity.set("calibration", scoring.calibration().map_or_else(none, calibration));
        let values = [
            thresholds.viral().to_string(),
            thresholds.cellular().to_string(),
            min_chunk_score.map_or_else(none, |least| least.to_string()),
            prevalence.share().to_string(),
            compat.map_or("none", Compat::as_str).to_owned(),
            contigs.map_or_else(none, |rule| {
                let ContigRule { min_chunks, min_viral, min_nonviral } = rule;
                format!("at least {min_chunks} chunks, {min_viral} viral, {min_nonviral} not viral")
            }),
            self.plots().map_or_else(none, |most| format!("at most {most}")),
        ];
        NAMES.into_iter().zip(values).for_each(|(name, value)| identity.set(name, value));
    }

    /// Returns whether an option of that name changes files that are derived from the same scores.
    pub(crate) fn shapes_files_alone(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// Adds the options to those of `run.json`.
    pub(crate) fn tell(&self, options: &mut Map<String, Value>) {
        let CallOptions { thresholds, min_chunk_score, prevalence, compat, contigs, plot: _, max_plots: _ } =
            self;
        let contigs = contigs.map(|rule| {
            json!({
                "min_chunks": rule.min_chunks,
                "min_viral": rule.min_viral,
                "min_nonviral": rule.min_nonviral,
            })
        });
        let own = [
            ("min_score", json!(thresholds.viral())),
            ("min_score_uncertain", json!(thresholds.cellular())),
            ("min_chunk_score", json!(min_chunk_score)),
            ("prevalence", json!(prevalence.share())),
            ("compat", json!(compat.map(Compat::as_str))),
            ("contigs", json!(contigs)),
            ("max_plots", json!(self.plots())),
        ];
        options.extend(own.map(|(name, value)| (name.to_owned(), value)));
    }

    /// Returns the most plots, if there are any.
    fn plots(&self) -> Option<usize> {
        self.plot.map(|_| self.max_plots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_set_and_known() {
        let mut identity = Identity::default();
        CallOptions::default().identify(&RecordScoring::new(None, 500), &mut identity);
        let names = identity.to_json();
        let names: Vec<_> = names.as_object().unwrap().keys().collect();
        let own = names.iter().filter(|name| CallOptions::shapes_files_alone(name));
        assert_eq!((own.count(), names.len()), (NAMES.len(), NAMES.len() + 1));
        assert!(!CallOptions::shapes_files_alone("calibration"));
    }
}
