//! Warnings about batches that are far from full.

use std::borrow::Cow;
use std::fmt;

use crate::error::Hint;

/// A warning that batches are far from full, with the reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EfficiencyWarning {
    /// The level of the warning.
    pub level: EfficiencyLevel,
    /// What keeps the batches from being full.
    pub reason: EfficiencyReason,
    /// The efficiency, 0 to 1, without the batch that the end of the input left underfilled.
    pub efficiency: f64,
    /// Most tokens in a batch.
    pub token_budget: usize,
    /// Tokens in the longest sequence.
    pub longest: usize,
}

/// The level of a warning about low efficiency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EfficiencyLevel {
    /// Under 85 %.
    Warning,
    /// Under 80 %.
    Error,
}

/// What keeps batches from being full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EfficiencyReason {
    /// Too few records are collected before packing.
    BufferTooSmall,
    /// The token budget is close to the records' lengths, so that complete records cannot fill it.
    BudgetNearLongest,
    /// The limit on sequences or on attention cost closes batches early.
    OtherLimits,
    /// Next fit closes a batch as soon as one sequence does not fit.
    NextFit,
    /// Packing is off.
    PackingOff,
}

impl fmt::Display for EfficiencyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EfficiencyWarning { token_budget, longest, .. } = self;
        write!(f, "batches are {:.1} % full: ", 100.0 * self.efficiency)?;
        match self.reason {
            EfficiencyReason::BufferTooSmall => {
                write!(f, "the buffer holds too few records for a token budget of {token_budget}")
            }
            EfficiencyReason::BudgetNearLongest => {
                write!(
                    f,
                    "whole records of up to {longest} tokens do not fill a token budget of {token_budget}"
                )
            }
            EfficiencyReason::OtherLimits => {
                f.write_str("the limit on sequences or attention cost closes them early")
            }
            EfficiencyReason::NextFit => f.write_str("next fit looks at one batch only"),
            EfficiencyReason::PackingOff => f.write_str("packing is off"),
        }
    }
}

impl Hint for EfficiencyWarning {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self.reason {
            EfficiencyReason::BufferTooSmall => {
                "collect more records before packing, or lower the token budget".into()
            }
            EfficiencyReason::BudgetNearLongest => {
                format!("raise the token budget to several times {}", self.longest).into()
            }
            EfficiencyReason::OtherLimits => "raise that limit, or lower the token budget".into(),
            EfficiencyReason::NextFit => "pack by first-fit decreasing".into(),
            EfficiencyReason::PackingOff => "turn it on".into(),
        })
    }
}
