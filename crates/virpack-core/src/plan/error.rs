//! The errors of plans, of their parts and of commits.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use virpack_seq::reader::Change;
use virpack_seq::{Hint, InputError, SeqError, shown_id, shown_path};
use virpack_store::StoreError;

use super::part_state::PartProblem;
use crate::error::{Error, opaque};
use crate::files::KEY_HINT;

opaque! {
    /// An error of a plan or of its parts.
    pub struct PlanError(PlanProblem) in Error::Plan;
}

impl PlanError {
    /// Returns the numbers of the parts that are missing or invalid, as `3,7-9`; None for another problem.
    #[must_use]
    pub fn parts(&self) -> Option<String> {
        match &self.0 {
            PlanProblem::Parts { problems, .. } => Some(ranges(problems.iter().map(|(number, _)| *number))),
            _ => None,
        }
    }

    /// Returns the directory of the plan whose parts are missing or invalid, or belong to another command.
    #[must_use]
    pub fn directory(&self) -> Option<&std::path::Path> {
        match &self.0 {
            PlanProblem::Parts { directory, .. } | PlanProblem::Command { directory, .. } => Some(directory),
            _ => None,
        }
    }

    /// Returns the command, `embed` or `predict`, that makes the missing or invalid parts, or the parts of
    /// a plan that another command was to make.
    #[must_use]
    pub fn command(&self) -> Option<&'static str> {
        match &self.0 {
            PlanProblem::Parts { command, .. } => Some(command),
            PlanProblem::Command { planned, .. } => Some(planned),
            _ => None,
        }
    }

    /// Returns whether a directory has no plan.
    ///
    /// ```
    /// use virpack_core::Error;
    /// use virpack_core::plan::Plan;
    ///
    /// let Err(Error::Plan(error)) = Plan::open("no/such/directory") else { panic!("there is a plan") };
    /// assert!(error.is_no_plan());
    /// ```
    #[must_use]
    pub fn is_no_plan(&self) -> bool {
        matches!(self.0, PlanProblem::NoPlan { .. })
    }
}

/// The most problems of parts that an error lists.
const LISTED: usize = 10;

/// The problem, with the facts that are needed to correct it.
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
    /// The directory has no plan.
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
        /// The system's error.
        source: io::Error,
    },
    /// A file of a plan that was changed after it was written.
    #[error("{}: {what}", shown_path(path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The problem.
        what: &'static str,
    },
    /// A plan that another version of virpack made.
    #[error("{}: made by virpack {found}, and this is {}", shown_path(path), env!("CARGO_PKG_VERSION"))]
    Version {
        /// The plan's file.
        path: PathBuf,
        /// That version.
        found: String,
    },
    /// An input that changed after the plan was made.
    #[error("{}: the input changed since the plan was made: {change}", shown_path(path))]
    Changed {
        /// The input.
        path: PathBuf,
        /// The change.
        change: Change,
    },
    /// A path that JSON cannot represent.
    #[error("{}: a plan names files, and this name is not UTF-8", shown_path(path))]
    Name {
        /// The path.
        path: PathBuf,
    },
    /// A URL with credentials.
    #[error("{}: a plan names its inputs, and this URL holds a password or a signature", shown_path(path))]
    Secret {
        /// The URL without them.
        path: PathBuf,
    },
    /// A type of values that Parquet files do not have.
    #[error("parts are Parquet files, which hold float32 or float16, not bfloat16")]
    NoBf16,
    /// A part number that the plan does not have.
    #[error("the plan has no part {number}: its parts are 1 to {parts}")]
    NoPart {
        /// The requested number.
        number: u64,
        /// The number of parts.
        parts: u64,
    },
    /// A model or options that differ from the plan's.
    #[error("the {what} is not the plan's: {found} here, {planned} there")]
    NotPlanned {
        /// The name of the difference.
        what: String,
        /// The value here.
        found: String,
        /// The value in the plan.
        planned: String,
    },
    /// A plan whose parts another command makes.
    #[error("{} has a plan of {planned}, not of {asked}", shown_path(directory))]
    Command {
        /// The plan's directory.
        directory: PathBuf,
        /// The command that makes its parts.
        planned: &'static str,
        /// The command that was asked to make them.
        asked: &'static str,
    },
    /// An option of a commit that does not apply to the plan.
    #[error("{option} does not apply to a plan of {planned}")]
    Option {
        /// The option.
        option: &'static str,
        /// The command that makes the plan's parts.
        planned: &'static str,
    },
    /// A model without files on disk.
    #[error("{name} is in this process's memory alone, and a plan names files")]
    InMemory {
        /// The name of the model.
        name: String,
    },
    /// A record of an input that differs from the record that was scored.
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
    /// Parts that are missing or differ from the plan.
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
        /// Their numbers, ascending, each with its problem.
        problems: Vec<(u64, PartProblem)>,
        /// The number of parts in the plan.
        parts: u64,
    },
    /// A file with the name of a part that the plan does not have.
    #[error("{}: the plan has no such part, and a reader of all parts would read it", shown_path(path))]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// A manifest that belongs to other parts.
    #[error("{}: it belongs to other parts than those in the directory", shown_path(path))]
    OtherManifest {
        /// The manifest.
        path: PathBuf,
    },
    /// An output that would replace a file of the plan.
    #[error("{} is a file of the plan", shown_path(path))]
    OwnFile {
        /// The output.
        path: PathBuf,
    },
    /// A type of values that the parts cannot give any more.
    #[error("the parts hold float16, and {asked} was asked for")]
    Narrow {
        /// The requested type.
        asked: String,
    },
}

impl Hint for PlanProblem {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            PlanProblem::Another { .. } => "choose another directory, or remove this one".into(),
            PlanProblem::NoPlan { .. } => "make a plan there first".into(),
            PlanProblem::Read { source, .. } => match StoreError::of_io(source) {
                Some(StoreError::Key) => KEY_HINT.into(),
                Some(error) => return error.hint(),
                None => "check the path and its permissions".into(),
            },
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
            PlanProblem::OwnFile { .. } => "give the output another name".into(),
            PlanProblem::Narrow { .. } => "leave the type out, or plan with float32".into(),
        })
    }
}

impl PlanProblem {
    /// Returns the error of opening an input. A changed input is an error of the plan.
    pub(super) fn of_opening(error: SeqError) -> Error {
        match error {
            SeqError::Input(InputError::Changed { path, change }) => {
                PlanProblem::Changed { path, change }.into()
            }
            other => other.into(),
        }
    }
}

/// Writes ascending numbers as `3,7-9`.
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
