//! Errors of the libraries whose facts name options of the program.

use super::flag;
use virpack_core::Error;
use virpack_core::ResumeErrorKind;
use virpack_core::output::OutputErrorKind;
use virpack_seq::shown_path;

/// Returns what happened, with the names of options; None if the library's message names no option.
pub(super) fn of(error: &Error) -> Option<String> {
    Some(match error {
        Error::Setting(error) if error.setting() == "long_records" => {
            "--long-records window does not go with --pool none: a record's rows are written together, and a record in \
             windows can have any number of them"
                .to_owned()
        }
        Error::Setting(error) => error.named(&flag(error.setting())),
        Error::Resume(error) => match error.kind() {
            ResumeErrorKind::Pipe(input) => format!(
                "--resume reads the inputs again from their beginning, and {input} is a pipe, a device, \
                 stdin or a URL"
            ),
            _ => return None,
        },
        Error::Output(error) => return of_output(error.kind()),
        _ => return None,
    })
}

fn of_output(kind: OutputErrorKind<'_>) -> Option<String> {
    Some(match kind {
        OutputErrorKind::NoResidues(format) => format!(
            ".{} holds one row a record, and --pool none gives each record as many rows as it has residues",
            format.ending()
        ),
        OutputErrorKind::ShardOfPipe(input) => {
            format!("--shard deals out files, and {input} is a pipe, a device or a URL")
        }
        OutputErrorKind::NotToStdout(option, reason) => {
            format!("{} does not go with -o -: {reason}", flag(option))
        }
        OutputErrorKind::NotToStore(option, reason) => {
            format!("{} does not go with an output in a store: {reason}", flag(option))
        }
        OutputErrorKind::WhichFrames => "-o - takes one of the two files".to_owned(),
        OutputErrorKind::KindOfFiles(prefix) => {
            format!("--kind chooses what goes to standard output, and {} names files", shown_path(prefix))
        }
        _ => return None,
    })
}
