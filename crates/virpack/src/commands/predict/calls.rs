//! What `virpack predict` calls viral.

use crate::failure::Failure;
use crate::values::parse_prevalence;
use clap::Args;
use virpack_core::Error;
use virpack_core::calls::CallOptions;
use virpack_core::verdict::{CallThresholds, Prevalence};

/// What is called viral.
#[derive(Debug, Args)]
pub(crate) struct CallArguments {
    /// The least virus_score, 0 to 1, of a viral record; below 0.3 it is cellular, between them uncertain
    /// [default: 0.7]
    #[arg(long, value_name = "S", conflicts_with_all = ["strict", "relaxed"])]
    min_score: Option<f64>,

    /// Few false calls: the same as --min-score 0.9
    #[arg(long, conflicts_with = "relaxed")]
    strict: bool,

    /// Most viruses: the same as --min-score 0.5
    #[arg(long)]
    relaxed: bool,

    /// The share of viral records that you expect; fdr, the expected share of false calls, follows from it
    #[arg(long, value_name = "P", default_value = "0.1", value_parser = parse_prevalence)]
    prevalence: Prevalence,

    /// The least score_virus, 0 to 1, that a viral chunk reaches beside its score_other; it changes no call
    /// of a record [default: none, as in VirNucPro]
    #[arg(long, value_name = "S")]
    min_chunk_score: Option<f32>,
}

impl CallArguments {
    pub(crate) fn options(&self) -> Result<CallOptions, Failure> {
        let thresholds = match self.min_score {
            Some(given) => CallThresholds::at(given).ok_or(Error::NoShare { option: "min_score", given })?,
            None if self.strict => CallThresholds::STRICT,
            None if self.relaxed => CallThresholds::RELAXED,
            None => CallThresholds::DEFAULT,
        };
        let options = CallOptions::default().thresholds(thresholds).prevalence(self.prevalence);
        Ok(options.min_chunk_score(self.min_chunk_score))
    }
}
