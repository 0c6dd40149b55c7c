//! What is said of options that a command does not take.

use crate::failure::USER;
use crate::log::LogFormat;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// Lets every option take a number below 0, so that the option's own parser says what it may be: clap would take `-1` for an
/// option, and advise to name it as an input.
pub(crate) fn taking_negative_numbers(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|command| {
        command.mut_args(|argument| {
            let takes = !argument.is_positional() && argument.get_action().takes_values();
            argument.allow_negative_numbers(takes)
        })
    })
}

/// Says what clap found, as the command line asks for it, and gives the exit code.
pub(crate) fn report(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    // Help and the version go to stdout and are no failure.
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    match asks_for_json(arguments) {
        true => LogFormat::Json.error(message(&error.render().to_string()), USER),
        false => drop(error.print()),
    }
    ExitCode::from(USER)
}

/// Whether `--log-format json` stands anywhere before `--`, be the rest understood or not.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<_> = arguments.take_while(|word| word != "--").collect();
    let two = [OsStr::new("--log-format"), OsStr::new("json")];
    words.iter().any(|word| word == "--log-format=json") || words.windows(2).any(|pair| pair == two)
}

/// The first paragraph of clap's text, and as its hint the tips that follow, else the next one: the usage, where it is said.
fn message(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default();
    let (tips, others): (Vec<_>, Vec<_>) =
        paragraphs.filter(|paragraph| !paragraph.is_empty()).partition(|line| line.starts_with("tip: "));
    if message.contains("\nhint: ") {
        return message.to_owned();
    }
    let hint = match tips[..] {
        [] => others.first().copied().unwrap_or_default().to_owned(),
        _ => tips.join("; ").replace("tip: ", ""),
    };
    format!("{message}\nhint: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_anywhere_but_among_inputs() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(OsString::from));
        assert!(asks("virpack embed --log-format json --bogus") && asks("virpack --log-format=json"));
        for line in
            ["virpack embed --log-format", "virpack --log-format text json", "virpack -- --log-format json"]
        {
            assert!(!asks(line), "{line}");
        }
    }

    #[test]
    fn tips_are_hints() {
        let tip = "error: no '--x'\n\n  tip: 'y' is\n\n  tip: 'z' too\n\nUsage: virpack\n\nTry '--help'.\n";
        assert_eq!(message(tip), "no '--x'\nhint: 'y' is; 'z' too");
        let usage = "error: missing:\n  <INPUT>\n\nUsage: virpack\n\nTry '--help'.\n";
        // A parser of ours gives its own.
        assert_eq!(message("error: bad: no 7\nhint: take 1\n\nTry '--help'.\n"), "bad: no 7\nhint: take 1");
        assert_eq!(message(usage), "missing:\n  <INPUT>\nhint: Usage: virpack");
    }
}
