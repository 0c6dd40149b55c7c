//! Checkpoints: what a run has finished, kept on disk so that a later run can resume.
//!
//! The checkpoint folder lies beside the output (`embed`) or in its directory (`predict`). It holds parts
//! and a manifest. A part holds the rows of finished records, or the scores of finished chunks, in the
//! order in which they were finished. The manifest lists everything that shapes the results, and the
//! complete parts with their checksums. A part is written to a temporary file, synced and renamed; only
//! then is the manifest, which is replaced as one file, updated. To this room a part is a list of numbers
//! with bytes: the command interprets the bytes. Manifest and parts carry the number of the run, so that a
//! part of another run is never mistaken for one of this run.
//!
//! A resumed run builds the same batches, runs those from which a complete part lacks something, and takes
//! everything else from the parts when its turn comes. It writes the output again from the beginning, in
//! input order: neither the content nor the number of the parts shapes it. The folder is removed once the
//! output has its final name.
//!
//! Results that are computed but not finished are kept as well, such as a chunk that still needs the
//! embedding of the second model. They are in a part that the next part of its kind replaces.

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

use virpack_seq::grouped;

pub(crate) use complete::{CompleteRun, describe, recorded_identity};
use dir::Checkpoint;
pub(crate) use dir::{ResumeDir, pipe};
pub(crate) use earlier_parts::EarlierParts;
use error::OtherRun;
pub(crate) use error::{FolderProblem, ResumeProblem};
pub use error::{ResumeError, ResumeErrorKind};
pub(crate) use manifest::Manifest;
pub(crate) use part_entry::{Entries, HandOn};
use parts::{CompleteParts, Parts};
pub(crate) use remake::Remake;
use run_id::RunId;
pub(crate) use session::Session;

use crate::options::setters;

/// The beginning of a part.
const MAGIC: &[u8; 16] = b"virpack part 4\n\0";

/// The format of parts, recorded in the manifest. A version with another format must not read these.
const FORMAT: u64 = 4;

/// The most bytes of a manifest, which has 170 for each part, and of a report.
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
    /// Keeps work after 10,000 records or 60 seconds, from the beginning.
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

/// What a run keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Records with their rows.
    Records,
    /// Chunks of records with their scores.
    Chunks,
}

/// The finished work of an unfinished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedWork {
    /// Records or chunks that need not be computed again.
    pub finished: u64,
    /// Whether these are records or chunks.
    pub unit: Unit,
    /// Embeddings kept in addition, of chunks that still lack others.
    pub under_way: u64,
    /// The directory of the parts.
    pub folder: PathBuf,
}

/// What a run found when it began to keep its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeSummary {
    /// The work that is not computed again.
    pub saved: SavedWork,
    /// Damaged parts, and what is wrong with each. Their contents are computed again.
    pub torn: Vec<(PathBuf, String)>,
}

impl Unit {
    /// Returns the plural of the unit.
    ///
    /// ```
    /// use virpack_core::Unit;
    ///
    /// assert_eq!(Unit::Chunks.as_str(), "chunks");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Records => "records",
            Unit::Chunks => "chunks",
        }
    }
}

impl SavedWork {
    /// Returns whether anything is kept.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.finished + self.under_way > 0
    }
}

impl std::fmt::Display for SavedWork {
    /// Writes what is kept, without the directory.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} finished {}", grouped(self.finished), self.unit.as_str())?;
        match self.under_way {
            0 => Ok(()),
            n => write!(f, " and {} embeddings for more", grouped(n)),
        }
    }
}
