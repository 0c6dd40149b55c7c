//! What a run has finished, kept on disk while it goes on, so that another one can go on from there.
//!
//! Beside `OUT` stands the folder `OUT.partial` with parts, each the rows of finished records as they came, and a
//! manifest: what shapes the rows of this run, and the parts that are whole with their checksums. A part is written aside,
//! synced and renamed before the manifest, itself replaced as a whole, speaks of it.
//!
//! A run that goes on makes the same batches again, runs those that hold a record which is in no whole part, and takes
//! all other records from the parts when their turn comes. The output is written anew, in input order, from its
//! beginning: what a part holds, and how many there are, never shapes it. When it has its name the folder goes.

mod entry;
mod error;
mod folder;
mod identity;
mod kept;
mod log;
mod manifest;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use entry::{Entry, encode};
pub use error::ResumeError;
pub(crate) use folder::{Checkpoint, Found};
pub use identity::Difference;
pub(crate) use identity::Identity;
pub(crate) use kept::Kept;
pub(crate) use log::Log;

/// What a part begins with.
const MAGIC: &[u8; 16] = b"virpack part 1\n\0";

/// How often what is finished is made safe, and whether a run goes on where another one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// A part is closed when it holds so many records.
    pub records: u64,
    /// Or when it is so old.
    pub every: Duration,
    /// Go on where an earlier run of the same output ended.
    pub resume: bool,
}

impl Default for CheckpointOptions {
    /// 10,000 records or 60 seconds, from the beginning.
    fn default() -> Self {
        CheckpointOptions { records: 10_000, every: Duration::from_secs(60), resume: false }
    }
}

/// What was found when a run began to keep its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Where the parts are.
    pub folder: PathBuf,
    /// Records that are not computed again.
    pub records: u64,
    /// Parts that were not as they were written, and what is wrong with each; their records are computed again.
    pub torn: Vec<(PathBuf, String)>,
}

/// How many records an unfinished run of `output` has kept, and where; None without any.
#[must_use]
pub fn kept(output: &Path) -> Option<(u64, PathBuf)> {
    let folder = folder::path(output);
    let records = manifest::Manifest::read(&folder).ok()??.records();
    (records > 0).then_some((records, folder))
}
