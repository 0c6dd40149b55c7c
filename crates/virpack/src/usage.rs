//! Messages about options that a command does not accept.

use crate::exit::{self, USER};
use crate::log::LogFormat;
use crate::messages::Message;
use crate::stdout;
use crate::values::WrongValue;
use clap::error::ContextKind;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io::Write;

/// Lets every option take a number below 0, so that the option's own parser reports what it may be. clap
/// would take `-1` for an option, and advise to pass it as an input.
pub(crate) fn taking_negative_numbers(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|command| {
        command.mut_args(|argument| {
            let takes = !argument.is_positional() && argument.get_action().takes_values();
            argument.allow_negative_numbers(takes)
        })
    })
}

/// Reports what clap found, in the format that the command line requests, and returns the exit code.
pub(crate) fn report(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let log = if asks_for_json(arguments) { LogFormat::Json } else { LogFormat::Text };
    // Help and the version go to stdout and are not failures.
    if !error.use_stderr() {
        let printed = stdout::open().and_then(|mut out| Ok(error.print().and_then(|()| out.flush())?));
        return printed.map_or_else(|failure| exit::report(&failure, log), |()| 0);
    }
    match log {
        LogFormat::Json => log.error(message(error), USER),
        LogFormat::Text => drop(error.print()),
    }
    USER
}

/// Returns whether `--log-format json` is anywhere before `--`, even if the rest is not understood.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().take_while(|word| *word != "--").collect();
    let two = [OsStr::new("--log-format"), OsStr::new("json")];
    words.iter().any(|word| *word == "--log-format=json") || words.windows(2).any(|pair| pair == two)
}

/// Returns the message of clap, or of one of our value parsers with its hint.
fn message(error: &clap::Error) -> Message {
    let value = error.source().and_then(|source| source.downcast_ref::<WrongValue>());
    match (value, error.get(ContextKind::InvalidValue), error.get(ContextKind::InvalidArg)) {
        (Some(WrongValue(wrong)), Some(value), Some(option)) if !wrong.hints.is_empty() => {
            let what = format!("invalid value '{value}' for '{option}': {}", wrong.what);
            Message { what, hints: wrong.hints.clone() }
        }
        _ => of_clap(&error.render().to_string()),
    }
}

/// Returns the first paragraph of clap's text. Its hint are the tips that follow, or else the next
/// paragraph: the usage, if it is shown.
fn of_clap(text: &str) -> Message {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default();
    let (tips, others): (Vec<_>, Vec<_>) =
        paragraphs.filter(|paragraph| !paragraph.is_empty()).partition(|line| line.starts_with("tip: "));
    let hint = match tips[..] {
        [] => others.first().copied().unwrap_or_default().to_owned(),
        _ => tips.join("; ").replace("tip: ", ""),
    };
    Message::from(message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::parse_code;

    #[test]
    fn json_is_asked_for_anywhere_but_among_inputs() {
        let asks = |line: &str| asks_for_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
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
        assert_eq!(of_clap(tip), Message::from("no '--x'").hint("'y' is; 'z' too"));
        let usage = "error: missing:\n  <INPUT>\n\nUsage: virpack\n\nTry '--help'.\n";
        assert_eq!(of_clap(usage), Message::from("missing:\n  <INPUT>").hint("Usage: virpack"));
    }

    #[test]
    fn virpacks_parsers_give_their_own_hints() {
        let code = clap::Arg::new("code").long("code").value_name("N").value_parser(parse_code);
        let error = clap::Command::new("x").arg(code).try_get_matches_from(["x", "--code", "7"]).unwrap_err();
        let said = message(&error);
        assert_eq!(said.what, "invalid value '7' for '--code <N>': there is no genetic code 7");
        assert!(said.hints.len() == 1 && said.hints[0].starts_with("NCBI's are 1, 2"), "{said:?}");
    }
}
