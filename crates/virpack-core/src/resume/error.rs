//! Why a run cannot resume another one.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use virpack_seq::{Hint, shown_path};

use super::SavedWork;
use super::complete::{ChangedFile, lines};
use crate::error::{Error, opaque};
use crate::identity::IdentityDifference;

opaque! {
    /// Why a run cannot resume another one, or begin while the parts of another one are there.
    pub struct ResumeError(pub(super) ResumeProblem) in Error::Resume;
}

/// The kinds of these errors that a caller can word for its users, whose options have names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResumeErrorKind<'a> {
    /// An unfinished run exists, and the run was neither to resume it nor to start again.
    Unfinished,
    /// The parts are of a run that makes other rows.
    AnotherRun,
    /// The output is complete: nothing is left to do.
    Complete,
    /// The output was complete, and a file of it has another size now.
    ChangedOutput,
    /// The output is complete, and another run's.
    AnotherOutput,
    /// The output is complete, of the same scores, and calls other records viral or has other files.
    OtherCalls,
    /// A manifest cannot be read.
    Manifest,
    /// Another version of virpack has written the parts.
    Version,
    /// This input, a pipe, a device or a URL, cannot be read again.
    Pipe(&'a str),
    /// Any other problem: its hint needs no name of an option.
    Other,
}

impl ResumeError {
    /// Returns the kind of the error.
    ///
    /// ```
    /// use virpack_core::{CancelToken, CheckpointOptions, EmbedOptions, Error, ResumeErrorKind, embed};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let output = folder.path().join("emb.npy");
    /// let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let options = EmbedOptions::new(inputs, "virpack-mini", &output);
    /// let options = options.checkpoint(CheckpointOptions::default().resume(true));
    /// embed(&options, &CancelToken::new(), |_event| ())?;
    /// // Nothing is left to resume.
    /// let again = embed(&options, &CancelToken::new(), |_event| ());
    /// let Err(Error::Resume(error)) = again else { panic!("it ran") };
    /// assert_eq!(error.kind(), ResumeErrorKind::Complete);
    /// assert_eq!(error.complete_report().unwrap(), folder.path().join("emb.npy.run.json"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> ResumeErrorKind<'_> {
        match &self.0 {
            ResumeProblem::Unfinished(_) => ResumeErrorKind::Unfinished,
            ResumeProblem::AnotherRun(_) => ResumeErrorKind::AnotherRun,
            ResumeProblem::Complete(_) => ResumeErrorKind::Complete,
            ResumeProblem::ChangedOutput { .. } => ResumeErrorKind::ChangedOutput,
            ResumeProblem::AnotherOutput(_) => ResumeErrorKind::AnotherOutput,
            ResumeProblem::OtherCalls(_) => ResumeErrorKind::OtherCalls,
            ResumeProblem::Manifest { .. } => ResumeErrorKind::Manifest,
            ResumeProblem::Version(_) => ResumeErrorKind::Version,
            ResumeProblem::Pipe { input } => ResumeErrorKind::Pipe(input),
            ResumeProblem::Folder(_) => ResumeErrorKind::Other,
        }
    }

    /// Returns the report of the complete run, of an error of the kind [`ResumeErrorKind::Complete`].
    #[must_use]
    pub fn complete_report(&self) -> Option<&Path> {
        match &self.0 {
            ResumeProblem::Complete(report) => Some(report),
            _ => None,
        }
    }
}

/// The problem, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResumeProblem {
    /// An unfinished run exists, and neither resuming nor starting again was asked for.
    #[error("{} holds {} of a run that was interrupted", shown_path(&.0.folder), .0)]
    Unfinished(SavedWork),
    /// The parts are of a run that makes other rows.
    #[error("{} holds parts of another run:\n  {}", shown_path(&.0.path), lines(&.0.differences))]
    AnotherRun(OtherRun),
    /// The output is complete: nothing is left to do. The path is that of the report of the run that made it.
    #[error("the output is complete already: {} describes this run", shown_path(.0))]
    Complete(PathBuf),
    /// The report describes a complete output, and a file of it has another size.
    #[error(
        "{} has {} bytes, and the run that {} describes has written {}",
        shown_path(&file.path), file.bytes, shown_path(report), file.written
    )]
    ChangedOutput {
        /// The report of the run.
        report: PathBuf,
        /// The file.
        file: ChangedFile,
    },
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
    Folder(#[from] FolderProblem),
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
    #[error(
        "a resumed run reads its inputs again from the beginning, and {input} is a pipe, a device, stdin or \
         a URL"
    )]
    Pipe {
        /// The input.
        input: String,
    },
}

/// A run with other settings than this one.
#[derive(Debug)]
pub(crate) struct OtherRun {
    /// Its folder of parts, or its report.
    pub(super) path: PathBuf,
    pub(super) differences: Vec<IdentityDifference>,
}

impl Hint for ResumeProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            ResumeProblem::Complete(_) => return None,
            ResumeProblem::Unfinished(_) => "resume it, or replace it and start again",
            ResumeProblem::AnotherRun(_) => {
                "the same inputs, model and options resume it; a run that replaces it starts again"
            }
            ResumeProblem::ChangedOutput { .. } | ResumeProblem::AnotherOutput(_) => {
                "choose another name, or let it be replaced"
            }
            ResumeProblem::OtherCalls(_) => "judge it again: nothing has to be computed for that",
            ResumeProblem::Folder(error) => return error.hint(),
            ResumeProblem::Manifest { .. } => {
                "what is finished cannot be known without it: start again, and let it be replaced"
            }
            ResumeProblem::Version(_) => {
                "resume with the version that made them, or start again, and let them be replaced"
            }
            ResumeProblem::Pipe { .. } => {
                "give files, or start again instead of resuming; a plan keeps its parts, whatever its inputs"
            }
        }))
    }
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
