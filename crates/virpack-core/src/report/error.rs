//! Why a finished run cannot be judged again.

use std::borrow::Cow;
use std::path::PathBuf;

use virpack_seq::{Hint, shown_path};

use crate::error::{Error, opaque};

opaque! {
    /// An error of a finished run that is judged again.
    pub struct ReportError(ReportProblem) in Error::Report;
}

impl ReportError {
    /// Returns whether an input is not the one that the run read, or cannot be read.
    #[must_use]
    pub fn is_input(&self) -> bool {
        matches!(self.0, ReportProblem::Input { .. })
    }

    /// Returns whether a page that compares runs would replace another file.
    #[must_use]
    pub fn is_page(&self) -> bool {
        matches!(self.0, ReportProblem::PageOfRun { .. } | ReportProblem::NoPage { .. })
    }
}

/// The problem, with the facts that are needed to correct it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportProblem {
    /// A directory without `run.json` of `predict`.
    #[error(
        "{} is not the directory of a complete run: {} {problem}",
        shown_path(directory),
        shown_path(file)
    )]
    NoRun {
        /// The directory.
        directory: PathBuf,
        /// `run.json`, or the calibration that it names.
        file: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A table that was changed after the run wrote it.
    #[error("{}, line {line}: {problem}", shown_path(path))]
    Table {
        /// The table.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The problem.
        problem: String,
    },
    /// A file that the run did not write, under a name that the report needs.
    #[error(
        "{} is not a file of the run in {}, and the report would replace it",
        shown_path(path),
        shown_path(directory)
    )]
    NotOfRun {
        /// The file.
        path: PathBuf,
        /// The run's directory.
        directory: PathBuf,
    },
    /// A page that would replace a file of a run that it compares.
    #[error("{} is a file of the run in {}", shown_path(page), shown_path(directory))]
    PageOfRun {
        /// The page.
        page: PathBuf,
        /// The run's directory.
        directory: PathBuf,
    },
    /// A page that would replace another file.
    #[error("{} exists and is not a page that compares runs", shown_path(page))]
    NoPage {
        /// The page.
        page: PathBuf,
    },
    /// An input that differs from the one that the run read.
    #[error("the files of sequences are made out of the inputs, and {input} {problem}")]
    Input {
        /// The input, as `run.json` names it.
        input: String,
        /// The problem.
        problem: String,
    },
}

impl Hint for ReportProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            ReportProblem::NoRun { .. } => "name a directory that a run of `predict` has completed",
            ReportProblem::Table { .. } => "the tables were changed after the run: run `predict` again",
            ReportProblem::NotOfRun { .. } => "move the file elsewhere, or give it another name",
            ReportProblem::PageOfRun { .. } | ReportProblem::NoPage { .. } => "give the page another name",
            ReportProblem::Input { .. } => {
                "put the input back, in the directory that the run was started in, or leave out the files of \
                 sequences"
            }
        }))
    }
}
