//! Why a plan cannot be made, its parts not be computed, or not be committed.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use virpack_seq::reader::Change;
use virpack_seq::{Hint, InputError, SeqError, shown_id, shown_path};

use super::part_state::PartProblem;
use crate::Error;

/// A plan, or its parts, are not as they must be.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PlanError(#[from] PlanProblem);

impl PlanError {
    /// Returns the numbers of the parts that are missing or not as they must be, as `3,7-9`; None for another
    /// problem.
    #[must_use]
    pub fn parts(&self) -> Option<String> {
        match &self.0 {
            PlanProblem::Parts { problems, .. } => Some(ranges(problems.iter().map(|(number, _)| *number))),
            _ => None,
        }
    }

    /// Returns the directory of the plan whose parts are missing or not as they must be, or are another
    /// command's.
    #[must_use]
    pub fn directory(&self) -> Option<&std::path::Path> {
        match &self.0 {
            PlanProblem::Parts { directory, .. } | PlanProblem::Command { directory, .. } => Some(directory),
            _ => None,
        }
    }

    /// Returns the command that makes the parts that are missing or not as they must be, or of a plan
    /// that another command was asked to make parts of: `embed` or `predict`.
    #[must_use]
    pub fn command(&self) -> Option<&'static str> {
        match &self.0 {
            PlanProblem::Parts { command, .. } => Some(command),
            PlanProblem::Command { planned, .. } => Some(planned),
            _ => None,
        }
    }

    /// Returns whether a directory has no plan.
    #[must_use]
    pub fn is_no_plan(&self) -> bool {
        matches!(self.0, PlanProblem::NoPlan { .. })
    }
}

impl Hint for PlanError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.0.hint()
    }
}

/// Most problems of parts that an error lists.
const LISTED: usize = 10;

/// What is wrong, with the facts to mend it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanProblem {
    /// The directory has another plan.
    #[error("{} has another plan: its {what} differs", shown_path(directory))]
    Another {
        /// The directory.
        directory: PathBuf,
        /// The first key of `plan.json` that differs.
        what: String,
    },
    /// The directory has none.
    #[error("{} has no plan", shown_path(directory))]
    NoPlan {
        /// The directory.
        directory: PathBuf,
    },
    /// A file of a plan cannot be read.
    #[error("cannot read {}: {source}", shown_path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of a plan is not as it was written.
    #[error("{}: {what}", shown_path(path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Another version of virpack has made the plan.
    #[error("{}: made by virpack {found}, and this is {}", shown_path(path), env!("CARGO_PKG_VERSION"))]
    Version {
        /// The plan's file.
        path: PathBuf,
        /// The version that has made it.
        found: String,
    },
    /// An input is not what it was when the plan was made.
    #[error("{}: the input changed since the plan was made: {change}", shown_path(path))]
    Changed {
        /// The input.
        path: PathBuf,
        /// What has happened to it.
        change: Change,
    },
    /// A path that JSON has no text for.
    #[error("{}: a plan names files, and this name is not UTF-8", shown_path(path))]
    Name {
        /// The path.
        path: PathBuf,
    },
    /// A URL with what lets its reader in.
    #[error("{}: a plan names its inputs, and this URL holds a password or a signature", shown_path(path))]
    Secret {
        /// The URL without it.
        path: PathBuf,
    },
    /// A type of values that Parquet does not have.
    #[error("parts are Parquet files, which hold float32 or float16, not bfloat16")]
    NoBf16,
    /// A part that the plan does not have.
    #[error("the plan has no part {number}: its parts are 1 to {parts}")]
    NoPart {
        /// What was asked for.
        number: u64,
        /// How many there are.
        parts: u64,
    },
    /// A model or options that are not the plan's.
    #[error("the {what} is not the plan's: {found} here, {planned} there")]
    NotPlanned {
        /// What it is.
        what: String,
        /// What it is here.
        found: String,
        /// What the plan has.
        planned: String,
    },
    /// A plan whose parts another command makes.
    #[error("{} has a plan of {planned}, not of {asked}", shown_path(directory))]
    Command {
        /// The plan's directory.
        directory: PathBuf,
        /// The command that makes its parts.
        planned: &'static str,
        /// The command that was to make them.
        asked: &'static str,
    },
    /// An option of a commit that its plan has no use for.
    #[error("{option} does not apply to a plan of {planned}")]
    Option {
        /// What was asked for.
        option: &'static str,
        /// The command that makes the plan's parts.
        planned: &'static str,
    },
    /// A model that is on no disk.
    #[error("{name} is in this process's memory alone, and a plan names files")]
    InMemory {
        /// What it is called.
        name: String,
    },
    /// A record of an input that is not the one that was scored.
    #[error(
        "{}, line {line}: the input changed since the plan was made: record {} is not the one scored then",
        shown_path(path),
        shown_id(id)
    )]
    OtherRecord {
        /// The input.
        path: PathBuf,
        /// The record's line, from 1.
        line: u64,
        /// Its id.
        id: String,
    },
    /// Parts that are missing or not as the plan has them.
    #[error(
        "{} of {parts} parts in {} cannot be committed:{}{}",
        problems.len(), shown_path(directory),
        problems.iter().take(LISTED).map(|(n, why)| format!("\n  part {n}: {why}")).collect::<String>(),
        match problems.len().saturating_sub(LISTED) { 0 => String::new(), n => format!("\n  and {n} more") }
    )]
    Parts {
        /// The plan's directory.
        directory: PathBuf,
        /// The command that makes parts.
        command: &'static str,
        /// Their numbers, rising, and what is wrong with each.
        problems: Vec<(u64, PartProblem)>,
        /// How many parts the plan has.
        parts: u64,
    },
    /// A file with the name of a part that the plan does not have.
    #[error("{}: the plan has no such part, and a reader of all parts would read it", shown_path(path))]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// A manifest of other parts.
    #[error("{}: it belongs to other parts than those in the directory", shown_path(path))]
    OtherManifest {
        /// The manifest.
        path: PathBuf,
    },
    /// Values that the parts do not have any more.
    #[error("the parts hold float16, and {asked} was asked for")]
    Narrow {
        /// The type that was asked for.
        asked: String,
    },
}

impl Hint for PlanProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            PlanProblem::Another { .. } => "choose another directory, or remove this one".into(),
            PlanProblem::NoPlan { .. } => "make a plan there first".into(),
            PlanProblem::Read { .. } => "check the path and its permissions".into(),
            PlanProblem::Damaged { .. } => "make the plan again, in another directory".into(),
            PlanProblem::Version { .. } => "use that version, or make the plan again with this one".into(),
            PlanProblem::Changed { .. } | PlanProblem::OtherRecord { .. } => {
                "put the file back as it was (a copy needs its time too: cp -p), or make a new plan".into()
            }
            PlanProblem::Name { .. } => "rename it".into(),
            PlanProblem::Secret { .. } => {
                "name it as s3://, gs:// or az://, whose credentials the environment holds".into()
            }
            PlanProblem::NoBf16 => "choose float32 or float16".into(),
            PlanProblem::NoPart { .. } => return None,
            PlanProblem::Command { planned, .. } => format!("{planned} makes its parts").into(),
            PlanProblem::Option { .. } => "leave it out".into(),
            PlanProblem::InMemory { .. } => "write it to a directory, and name that".into(),
            PlanProblem::NotPlanned { .. } => {
                "parts are made by the model and the options that the plan was made with".into()
            }
            PlanProblem::Parts { problems, .. } => {
                format!("make these parts again: {}", ranges(problems.iter().map(|(number, _)| *number)))
                    .into()
            }
            PlanProblem::ForeignFile { .. } => "move it elsewhere".into(),
            PlanProblem::OtherManifest { .. } => {
                "remove it if the parts that are here are those that you want".into()
            }
            PlanProblem::Narrow { .. } => "leave the type out, or plan with float32".into(),
        })
    }
}

impl PlanProblem {
    /// The error of an input that is opened: where it has changed, it has since the plan was made.
    pub(super) fn of_opening(error: SeqError) -> Error {
        match error {
            SeqError::Input(InputError::Changed { path, change }) => {
                PlanProblem::Changed { path, change }.into()
            }
            other => other.into(),
        }
    }
}

/// Rising numbers as `3,7-9`.
fn ranges(numbers: impl Iterator<Item = u64>) -> String {
    let mut all: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match all.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => all.push((number, number)),
        }
    }
    let shown = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    all.iter().map(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges([3, 7, 8, 9, 11, 12].into_iter()), "3,7-9,11-12");
        assert_eq!(ranges([].into_iter()), "");
    }
}
