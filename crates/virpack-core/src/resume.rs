//! What a run has finished, kept on disk while it goes on, so that another one can go on from there.
//!
//! Beside the output (`embed`) or in its directory (`predict`) stands a folder with parts, each the rows of finished
//! records or the scores of finished chunks as they came, and a manifest: what shapes them in this run, and the parts that
//! are whole with their checksums. A part is written aside, synced and renamed before the manifest, itself replaced as a
//! whole, speaks of it. To a part what is finished is a number and bytes: what they say is its command's own. Manifest and
//! parts carry the run's number, so that a part of another run is not taken for one of this.
//!
//! A run that goes on makes the same batches again, runs those that something needs which is in no whole part, and takes
//! all else from the parts when its turn comes. The output is written anew, in input order, from its beginning: what a
//! part holds, and how many there are, never shapes it. When it has its name the folder goes.
//!
//! What is computed and not finished, as a chunk needs embeddings of two models, is kept as well, in a part that the next
//! one of its kind replaces.

mod complete;
mod dir;
mod earlier_parts;
mod error;
mod log;
mod manifest;
mod part_entry;
mod parts;
mod remake;
mod run_id;
mod session;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use complete::{CompleteRun, describe, recorded_identity};
use dir::Checkpoint;
pub(crate) use dir::{ResumeDir, pipe};
pub(crate) use earlier_parts::EarlierParts;
pub(crate) use error::FolderProblem;
pub use error::{FolderError, ResumeError};
pub(crate) use manifest::Manifest;
pub(crate) use part_entry::{Entries, HandOn};
use parts::{CompleteParts, Parts};
pub(crate) use remake::Remake;
use run_id::RunId;
pub(crate) use session::Session;

use crate::options::setters;

/// What a part begins with.
const MAGIC: &[u8; 16] = b"virpack part 4\n\0";

/// The format of parts, as the manifest says it: a version that reads another one must not take these for its own.
const FORMAT: u64 = 4;

/// Most bytes of a manifest, which has 170 for each part, and of a report.
const LARGEST_LIST: u64 = 64_000_000;

/// How often a run keeps what it finishes, and whether it resumes an earlier one.
///
/// ```
/// use std::time::Duration;
/// use virpack_core::{CheckpointOptions, EmbedOptions};
///
/// let kept = CheckpointOptions::default().records(1_000).every(Duration::from_secs(10)).resume(true);
/// let options = EmbedOptions::new(vec!["proteins.fasta".into()], "virpack-mini", "emb.npy");
/// let options = options.checkpoint(kept);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointOptions {
    pub(crate) records: u64,
    pub(crate) every: Duration,
    pub(crate) resume: bool,
}

impl Default for CheckpointOptions {
    /// 10,000 records or 60 seconds, from the beginning.
    fn default() -> Self {
        CheckpointOptions { records: 10_000, every: Duration::from_secs(60), resume: false }
    }
}

impl CheckpointOptions {
    setters! {
        /// Sets the records, or chunks of records, at which a part is closed.
        records: u64,
        /// Sets the age at which a part is closed.
        every: Duration,
        /// Resumes an earlier run of the same output.
        resume: bool,
    }
}

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Records with their rows.
    Records,
    /// Chunks of records with their scores.
    Chunks,
}

/// What an unfinished run has finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedWork {
    /// Records or chunks that need not be computed again.
    pub finished: u64,
    /// What they are.
    pub unit: Unit,
    /// Embeddings beside them, of chunks that still miss others.
    pub under_way: u64,
    /// Where the parts are.
    pub folder: PathBuf,
}

/// What was found when a run began to keep what it finishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeSummary {
    /// What is not computed again.
    pub saved: SavedWork,
    /// Parts that were not as they were written, and what is wrong with each; what was in them is computed again.
    pub torn: Vec<(PathBuf, String)>,
}

impl Unit {
    /// What several of them are called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Records => "records",
            Unit::Chunks => "chunks",
        }
    }
}

impl SavedWork {
    /// Whether anything is kept.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.finished + self.under_way > 0
    }
}

impl std::fmt::Display for SavedWork {
    /// What is kept, without where.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} finished {}", self.finished, self.unit.as_str())?;
        match self.under_way {
            0 => Ok(()),
            n => write!(f, " and {n} embeddings for more"),
        }
    }
}
