//! Writes to stderr: lines for people, or one JSON object for each line for programs.

use crate::messages::Message;
use crate::text::say;
use crate::values::parse_positive;
use clap::builder::styling::{Style, Styles};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, SystemTime};
use virpack_seq::{escaped_json, escaped_lines};

/// Seconds between lines of progress.
const INTERVAL: u64 = 30;

/// How a run tells what it does.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LogArguments {
    /// Print no progress and no summary; only warnings and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Format of the messages on standard error
    #[arg(long = "log-format", id = "log_format", value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) format: LogFormat,

    /// Seconds between lines of progress, if standard error is not a terminal or gets JSON
    #[arg(long = "log-interval", value_name = "SECONDS", default_value_t = INTERVAL, value_parser = parse_positive)]
    interval: u64,
}

/// What stderr gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people, with a bar on a terminal
    #[default]
    Text,
    /// One JSON object on each line
    Json,
}

impl LogArguments {
    /// Returns the options of a command that has only `--quiet`: lines for people.
    pub(crate) fn lines(quiet: bool) -> LogArguments {
        LogArguments { quiet, format: LogFormat::Text, interval: INTERVAL }
    }

    /// Returns the time between lines of progress.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs(self.interval)
    }

    /// Prints information, unless `--quiet` is given.
    pub(crate) fn info(self, message: impl Into<Message>) {
        match self.format {
            _ if self.quiet => (),
            LogFormat::Text => say(message.into().text()),
            LogFormat::Json => object("info", fields(message.into())),
        }
    }

    /// Prints a warning.
    pub(crate) fn warn(self, message: impl Into<Message>) {
        self.format.warn(message);
    }

    /// Prints what was done, unless `--quiet` is given: the `line` for people, or the `report`, which is
    /// `run.json`.
    pub(crate) fn summary(self, line: impl Display, report: &Map<String, Value>) {
        match self.format {
            _ if self.quiet => (),
            LogFormat::Text => say(line),
            LogFormat::Json => object("summary", report.clone()),
        }
    }
}

impl LogFormat {
    /// Prints a warning.
    pub(crate) fn warn(self, message: impl Into<Message>) {
        let message = message.into();
        match self {
            LogFormat::Text => say_labelled("warning", Styles::styled().get_invalid(), &message),
            LogFormat::Json => object("warning", fields(message)),
        }
    }

    /// Prints why a command failed.
    pub(crate) fn error(self, message: Message, exit_code: u8) {
        match self {
            LogFormat::Text => say_labelled("error", Styles::styled().get_error(), &message),
            LogFormat::Json => {
                let mut fields = fields(message);
                fields.insert("exit_code".to_owned(), exit_code.into());
                object("error", fields);
            }
        }
    }
}

/// Prints to stderr what happened, after a label, and each hint on a separate line. Labels have clap's
/// colours if stderr is a terminal with colours.
fn say_labelled(label: &str, style: &Style, message: &Message) {
    let hints = Styles::styled();
    let labels = [(label, style, &message.what)];
    let hints = message.hints.iter().map(|hint| ("hint", hints.get_valid(), hint));
    let mut stderr = anstream::stderr();
    for (label, style, text) in labels.into_iter().chain(hints) {
        // A message that cannot be written must not stop the run.
        let _ = writeln!(stderr, "{style}{label}:{style:#} {}", escaped_lines(text));
    }
}

/// Writes an object: the event, the time, and these fields.
pub(crate) fn object(event: &str, fields: Map<String, Value>) {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut object = Map::new();
    object.insert("event".to_owned(), event.into());
    object.insert("time".to_owned(), time.as_secs_f64().into());
    object.extend(fields);
    say(escaped_json(&Value::Object(object).to_string()));
}

/// Returns a message, and its hints if it has some.
fn fields(message: Message) -> Map<String, Value> {
    let hint = (!message.hints.is_empty()).then(|| message.hints.join("; "));
    let fields = [("message", Some(message.what)), ("hint", hint)];
    fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect()
}
