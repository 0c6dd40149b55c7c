//! The program's messages for errors and warnings: what happened, and separately what to do, with the names
//! of the program's options.

mod facts;
mod hints;

pub(crate) use hints::more_memory;

use crate::failure::Failure;
use crate::plot::PlotError;
use crate::text::grouped;
use std::fmt::Display;
use virpack_core::DeviceEvent;
use virpack_core::Hint;
use virpack_core::LeftOutCard;
use virpack_core::device::{Remedy, Unavailable};
use virpack_seq::EfficiencyWarning;

/// What happened, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// What happened, and where.
    pub(crate) what: String,
    /// What to do about it: no hint, one change that works, or several.
    pub(crate) hints: Vec<String>,
}

impl Message {
    /// Returns the message with one more hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Message {
        self.hints.push(hint.into());
        self
    }

    /// Returns lines for people: what happened, then a line for each hint.
    pub(crate) fn text(&self) -> String {
        let hints = self.hints.iter().map(|hint| format!("\nhint: {hint}"));
        [self.what.clone()].into_iter().chain(hints).collect()
    }

    fn new(what: String, hint: Option<impl Into<String>>) -> Message {
        Message { what, hints: hint.into_iter().map(Into::into).collect() }
    }
}

/// A message without a hint.
impl<T: Display> From<T> for Message {
    fn from(what: T) -> Message {
        Message::new(what.to_string(), None::<String>)
    }
}

/// Returns the message for an error of the libraries.
pub(crate) fn of(error: &virpack_core::Error) -> Message {
    let what = facts::of(error).unwrap_or_else(|| error.to_string());
    Message::new(what, hints::of(error))
}

/// Returns the message for batches that are far from full.
pub(crate) fn of_warning(warning: &EfficiencyWarning) -> Message {
    Message::new(warning.to_string(), warning.hint())
}

/// Returns the message for a device that cannot be used.
pub(crate) fn of_unavailable(why: &Unavailable) -> Message {
    Message::new(why.to_string(), hints::of_unavailable(why))
}

/// Returns the message for a card that is not used, with a hint if it could be.
pub(crate) fn of_left_out(card: &LeftOutCard) -> Message {
    let hint = (card.why.remedy != Remedy::UseCpu).then(|| hints::of_unavailable(&card.why)).flatten();
    Message::new(card.to_string(), hint)
}

/// Returns the message for a device that lacks memory or was given up.
pub(crate) fn of_device_event(event: &DeviceEvent) -> Message {
    match event {
        DeviceEvent::Lost { device, reason, hint } => {
            let what = format!("device {device} is given up, the others go on: {reason}");
            Message::new(what, hint.as_deref())
        }
        DeviceEvent::Halved { token_budget, reason, hint } => {
            let tokens = grouped(*token_budget as u64);
            let what = format!("batches have at most {tokens} tokens from here on: {reason}");
            Message::new(what, hint.as_ref().map(|_| hints::smaller_batches()))
        }
    }
}

/// Returns the message for a plot that is missing.
pub(crate) fn of_plot(error: &PlotError) -> Message {
    let hint = match error {
        PlotError::Format(_) => Some("end the file's name in one of them".into()),
        PlotError::Draw(_) => None,
        PlotError::Name(error) | PlotError::Write { source: error, .. } => hints::of_output(error),
    };
    Message::new(error.to_string(), hint)
}

/// Returns the message for a failed command.
pub(crate) fn of_failure(failure: &Failure) -> Message {
    match failure {
        Failure::Virpack(error) => of(error),
        Failure::Resumable { error, command } => of(error).hint(format!("resume with: {command}")),
        Failure::Reworded { error, hint } => Message { hints: vec![hint.clone()], ..of(error) },
        Failure::Plot(error) => of_plot(error),
        own => Message::new(own.to_string(), hints::of_own(own)),
    }
}

/// Returns the option of the program for the name of its value in the libraries.
fn flag(option: &str) -> String {
    format!("--{}", option.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_core::Error;
    use virpack_core::device::DeviceError;
    use virpack_core::model::ModelError;
    use virpack_core::verdict::CallThresholds;
    use virpack_core::{CheckpointOptions, EmbedOptions};
    use virpack_seq::SeqError;

    #[test]
    fn options_are_named_where_the_libraries_name_none() {
        let share = of(&CallThresholds::at(70.0).unwrap_err());
        let lines = "--min-score must be between 0 and 1, and is 70\n\
                     hint: the default is 0.7; --relaxed is 0.5, --strict 0.9";
        assert_eq!(share.text(), lines);
        let stdin = EmbedOptions::new(vec!["-".into()], "virpack-mini", "emb.npy");
        let resumed = stdin.checkpoint(CheckpointOptions::default().resume(true));
        let pipe = of(&resumed.check().unwrap_err());
        assert!(pipe.what.starts_with("--resume reads the inputs again"), "{pipe:?}");
        assert_eq!(pipe.hints, ["give files, or leave --resume out and start again"]);
    }

    #[test]
    fn a_wrapped_error_has_its_words_too() {
        let zero = "give --max-length at least 1";
        assert_eq!(of(&SeqError::MaxLengthZero.into()).hints, [zero]);
        assert_eq!(of(&Error::Model(ModelError::Seq(SeqError::MaxLengthZero))).hints, [zero]);
        let full = || DeviceError::OutOfMemory { op: "upload", wanted: 2, free: 1 };
        let smaller = "ask for smaller batches with --token-budget";
        assert_eq!(of(&full().into()).hints, [smaller]);
        assert_eq!(of(&Error::Model(ModelError::Device(full()))).hints, [smaller]);
    }

    #[test]
    fn the_neutral_hint_is_what_is_left() {
        let error = Error::from(SeqError::BudgetTooLarge { token_budget: 9 });
        assert_eq!(of(&error).hints, [error.hint().unwrap()]);
    }

    #[test]
    fn a_card_that_is_left_out_has_a_hint_where_it_could_be_used() {
        let reason = "Tesla P4 has compute capability 6.1, and 7.5 is the least".to_owned();
        let card = LeftOutCard { ordinal: Some(1), why: Unavailable { reason, remedy: Remedy::UseCpu } };
        let line = "cuda:1 is left out: Tesla P4 has compute capability 6.1, and 7.5 is the least";
        assert_eq!(of_left_out(&card).text(), line);
        let why = Unavailable { reason: "the NVIDIA driver refused".into(), remedy: Remedy::CheckDriver };
        let hint = why.hint().unwrap();
        let line = format!("cuda is left out: the NVIDIA driver refused\nhint: {hint}");
        assert_eq!(of_left_out(&LeftOutCard { ordinal: None, why }).text(), line);
    }

    #[test]
    fn every_hint_has_its_line() {
        let why = Unavailable { reason: "too old".into(), remedy: Remedy::UseCpu };
        let message = of_unavailable(&why).hint("and more");
        assert_eq!(message.text(), "too old\nhint: run with --device cpu\nhint: and more");
    }
}
