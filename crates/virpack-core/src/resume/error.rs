//! Why a run cannot go on where another one ended.

use std::borrow::Cow;
use std::path::PathBuf;

use virpack_seq::{Hint, shown_path};

use super::SavedWork;
use super::complete::lines;
use crate::error::opaque;
use crate::identity::IdentityDifference;

/// Why a run cannot go on where another one ended, or begin beside what it left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// An unfinished run exists, and neither resuming nor starting again was asked for.
    #[error("{} holds {} of a run that was interrupted", shown_path(&.0.folder), .0)]
    Unfinished(SavedWork),
    /// The parts are of a run that makes other rows.
    #[error("{} holds parts of another run:\n  {}", shown_path(&.0.path), lines(&.0.differences))]
    AnotherRun(OtherRun),
    /// The output is complete: nothing is left to do. The path is that of the report of the run that made it.
    #[error("the output is complete already: {} describes this run", shown_path(.0))]
    Complete(PathBuf),
    /// The output is complete, and another run's.
    #[error(
        "{} describes another run, which is complete:\n  {}", shown_path(&.0.path), lines(&.0.differences)
    )]
    AnotherOutput(OtherRun),
    /// The output is complete, of the same scores, and calls other records viral or has other files.
    #[error(
        "{} describes a run of the same scores, which is complete:\n  {}",
        shown_path(&.0.path),
        lines(&.0.differences)
    )]
    OtherCalls(OtherRun),
    /// The directory of parts is not one of this run alone.
    #[error(transparent)]
    Folder(FolderError),
    /// A manifest that cannot be read.
    #[error("{}: {reason}", shown_path(path))]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Parts that another version of virpack has written.
    #[error("{} holds parts in the format of another version of virpack", shown_path(.0))]
    Version(PathBuf),
    /// Inputs that are gone once they were read.
    #[error("a resumed run reads its inputs again from the beginning, and {input} is a pipe, stdin or a URL")]
    Pipe {
        /// The input.
        input: String,
    },
}

/// A run with other settings than this one.
#[derive(Debug)]
pub struct OtherRun {
    /// Its folder of parts, or its report.
    pub(super) path: PathBuf,
    pub(super) differences: Vec<IdentityDifference>,
}

impl Hint for ResumeError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            ResumeError::Complete(_) => return None,
            ResumeError::Unfinished(_) => "resume it, or replace it and start again",
            ResumeError::AnotherRun(_) => {
                "the same inputs, model and options resume it; a run that replaces it starts again"
            }
            ResumeError::AnotherOutput(_) => "choose another name, or let it be replaced",
            ResumeError::OtherCalls(_) => "judge it again: nothing has to be computed for that",
            ResumeError::Folder(error) => return error.hint(),
            ResumeError::Manifest { .. } => {
                "what is finished cannot be known without it: start again, and let it be replaced"
            }
            ResumeError::Version(_) => {
                "resume with the version that made them, or start again, and let them be replaced"
            }
            ResumeError::Pipe { .. } => {
                "give files, or start again instead of resuming; a plan keeps its parts, whatever its inputs"
            }
        }))
    }
}

opaque! {
    /// A directory of parts that a run cannot take, because another process or user has it.
    pub struct FolderError(FolderProblem) in ResumeError::Folder;
}

/// Why a run cannot take a directory of parts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderProblem {
    /// A process that is alive has the parts.
    #[error("{} is in use by another run", shown_path(folder))]
    InUse {
        /// The folder of parts.
        folder: PathBuf,
    },
    /// A folder of parts that is a symbolic link.
    #[error(
        "{} is a symbolic link, and parts are read and removed in a folder of this run alone",
        shown_path(folder)
    )]
    LinkedFolder {
        /// The folder of parts.
        folder: PathBuf,
    },
    /// A folder of parts that another user has made.
    #[error("{} belongs to user {owner}, and this run to user {user}", shown_path(folder))]
    ForeignFolder {
        /// The folder of parts.
        folder: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user who runs virpack.
        user: u32,
    },
    /// A lock that is a link, a pipe or a device.
    #[error("{}: {source}", shown_path(path))]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What it is.
        source: std::io::Error,
    },
}

impl Hint for FolderProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            FolderProblem::InUse { .. } => "wait until it ends, or choose another output",
            FolderProblem::LinkedFolder { .. } => "remove the link, or choose another output",
            FolderProblem::ForeignFolder { .. } => {
                "choose another output, or copy the folder to resume from it"
            }
            FolderProblem::Lock { .. } => "remove it: virpack has not made it",
        }))
    }
}
