//! What is derived from judged records, and how it is distinguished from that of another run.

use serde_json::{Map, Value, json};

use super::options::CallOptions;
use super::scoring::RecordScoring;
use super::track::Draw;
use super::virnucpro::Compat;
use crate::Error;
use crate::identity::Identity;
use crate::verdict::{ContigRule, RecordCalibration};

/// The names of the options that affect files but no score: [`CallOutputs::identify`] sets them all.
const NAMES: [&str; 7] = [
    "least score of a viral record",
    "least score of an uncertain record",
    "least score of a viral chunk",
    "prevalence",
    "VirNucPro's files",
    "contigs",
    "pictures",
];

/// What is called viral, and which files list it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallOutputs {
    pub(crate) calls: CallOptions,
    /// The columns of VirNucPro's two files; None: the files are not written.
    pub(crate) compat: Option<Compat>,
    /// The rule by which contigs are called; None: they are not called.
    pub(crate) contigs: Option<ContigRule>,
    /// The plotting functions, and the most records that they draw; None: there are no plots.
    pub(crate) draw: Option<(Draw, usize)>,
}

impl CallOutputs {
    /// Adds the options of files to those of scores. A model's calibration belongs to the model, as its
    /// scores do.
    pub(crate) fn identify(&self, scoring: &RecordScoring, identity: &mut Identity) {
        let CallOutputs { calls, compat, contigs, draw } = self;
        let none = || "none".to_owned();
        let calibration = |own: &RecordCalibration| format!("{}, SHA-256 {}", own.model(), own.sha256());
        identity.set("calibration", scoring.calibration().map_or_else(none, calibration));
        let values = [
            calls.thresholds.viral().to_string(),
            calls.thresholds.cellular().to_string(),
            calls.min_chunk_score.map_or_else(none, |least| least.to_string()),
            calls.prevalence.share().to_string(),
            compat.map_or("none", Compat::as_str).to_owned(),
            contigs.map_or_else(none, |rule| {
                let ContigRule { min_chunks, min_viral, min_nonviral } = rule;
                format!("at least {min_chunks} chunks, {min_viral} viral, {min_nonviral} not viral")
            }),
            draw.map_or_else(none, |(_, most)| format!("at most {most}")),
        ];
        NAMES.into_iter().zip(values).for_each(|(name, value)| identity.set(name, value));
    }

    /// Checks that shares are between 0 and 1.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.calls.check()?;
        self.contigs.map_or(Ok(()), |rule| rule.check())
    }

    /// Returns whether an option of that name changes files that are derived from the same scores.
    pub(crate) fn shapes_files_alone(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// Adds the options to those of `run.json`.
    pub(crate) fn tell(&self, options: &mut Map<String, Value>) {
        let CallOutputs { calls, compat, contigs, draw } = self;
        let contigs = contigs.map(|rule| {
            json!({
                "min_chunks": rule.min_chunks,
                "min_viral": rule.min_viral,
                "min_nonviral": rule.min_nonviral,
            })
        });
        let own = [
            ("min_score", json!(calls.thresholds.viral())),
            ("min_score_uncertain", json!(calls.thresholds.cellular())),
            ("min_chunk_score", json!(calls.min_chunk_score)),
            ("prevalence", json!(calls.prevalence.share())),
            ("compat", json!(compat.map(Compat::as_str))),
            ("contigs", json!(contigs)),
            ("max_plots", json!(draw.map(|(_, most)| most))),
        ];
        options.extend(own.map(|(name, value)| (name.to_owned(), value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_set_and_known() {
        let mut identity = Identity::default();
        CallOutputs::default().identify(&RecordScoring::new(None, 500), &mut identity);
        let names = identity.to_json();
        let names: Vec<_> = names.as_object().unwrap().keys().collect();
        let own = names.iter().filter(|name| CallOutputs::shapes_files_alone(name));
        assert_eq!((own.count(), names.len()), (NAMES.len(), NAMES.len() + 1));
        assert!(!CallOutputs::shapes_files_alone("calibration"));
    }
}
