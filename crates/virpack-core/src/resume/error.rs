//! Why a run cannot go on where another one ended.

use std::path::PathBuf;

use virpack_seq::shown_path;

use super::Saved;
use super::complete::lines;
use crate::identity::Difference;

/// Why a run cannot go on where another one ended, or begin beside what it left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// Parts of an unfinished run are there, and nobody has said what is to become of them.
    #[error(
        "{} holds {saved} of a run that was interrupted\n\
         hint: go on with --resume, or start again with --force", shown_path(&saved.folder)
    )]
    Unfinished {
        /// What is there.
        saved: Saved,
    },
    /// The parts are of a run that makes other rows.
    #[error(
        "{} holds parts of another run:\n  {}\n\
         hint: with the same inputs, model and options --resume goes on; --force without it starts anew",
        shown_path(folder),
        lines(differences)
    )]
    AnotherRun {
        /// The folder of parts.
        folder: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// The output is whole: there is nothing to go on with, and nothing left to do.
    #[error("the output is complete already: {} describes this run", shown_path(report))]
    Complete {
        /// The report of the run that made it.
        report: PathBuf,
    },
    /// The output is whole, and another run's.
    #[error(
        "{} tells of another run, which is complete:\n  {}\n\
         hint: choose another name, or replace it with --force",
        shown_path(report),
        lines(differences)
    )]
    AnotherOutput {
        /// The report of the run that made it.
        report: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// A process that is alive has the parts.
    #[error(
        "{} is in use by another run\nhint: wait until it ends, or choose another output",
        shown_path(folder)
    )]
    InUse {
        /// The folder of parts.
        folder: PathBuf,
    },
    /// A folder of parts that is a symbolic link.
    #[error(
        "{} is a symbolic link, and parts are read and removed in a folder of this run alone\n\
         hint: remove the link, or choose another output",
        shown_path(folder)
    )]
    LinkedFolder {
        /// The folder of parts.
        folder: PathBuf,
    },
    /// A folder of parts that another user has made.
    #[error(
        "{} belongs to the user with the number {owner}, and this run to the one with the number {user}\n\
         hint: choose another output, or copy the folder to resume from it",
        shown_path(folder)
    )]
    ForeignFolder {
        /// The folder of parts.
        folder: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user who runs virpack.
        user: u32,
    },
    /// A lock that is a link, a pipe or a device.
    #[error("{}: {source}\nhint: remove it: virpack has not made it", shown_path(path))]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What it is.
        source: std::io::Error,
    },
    /// A manifest that cannot be read.
    #[error(
        "{}: {reason}\nhint: what is finished cannot be told without it: start again with --force",
        shown_path(path)
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Parts that another version of virpack has written.
    #[error(
        "{} holds parts in the format of another version of virpack\n\
         hint: go on with the version that made them, or start again with --force",
        shown_path(folder)
    )]
    Version {
        /// The folder of parts.
        folder: PathBuf,
    },
    /// Inputs that are gone once they were read.
    #[error(
        "--resume reads the inputs again from their beginning, and {input} is a pipe or standard input\n\
         hint: give files, or leave --resume out and start again"
    )]
    Pipe {
        /// The input.
        input: String,
    },
}
