//! Derives one score and one call of a record from the scores of its chunks, and finds the viral regions of
//! a record.
//!
//! Everything here is a pure function of `chunks.tsv`: the bases of each chunk and the highest
//! `score_other` and `score_virus` of its frames, or its own. A finished run can therefore be judged again
//! without computing it again.
//!
//! - `Evidence` adds up the chunks of one record.
//! - `RecordCalibration` turns evidence into a `virus_score`, and a score into an expected share of false
//!   calls; it is read from a data file of the model. `uncalibrated_score` is the same rule for classifiers
//!   without such a file.
//! - [`CallThresholds`] turns a score into a [`Call`].
//! - [`ContigRule`] calls a record as viral-pipelines does, independently of the others.
//! - `segments` finds each [`Region`] of a record.

mod calibration;
mod call;
mod contig;
mod curves;
mod evidence;
mod facts;
mod segments;

pub(crate) use calibration::{LengthCalibration, RecordCalibration, RecordScore, uncalibrated_score};
pub use call::{Call, CallThresholds};
pub(crate) use contig::ContigCall;
pub use contig::ContigRule;
pub use curves::Prevalence;
pub(crate) use evidence::Evidence;
pub(crate) use facts::CalibrationError;
pub(crate) use segments::{ChunkEvidence, SegmentModel, Segments, segments};
#[doc(hidden)]
pub use segments::{Region, RegionKind};

#[cfg(test)]
mod golden;
