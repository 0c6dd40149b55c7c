//! The steps of a benchmark on stderr: one line with the time on a terminal, a line for each step elsewhere.

use crate::text::say;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use virpack_core::bench::Phase;
use virpack_seq::escaped;

/// How often the clock of the line is updated.
const TICK: Duration = Duration::from_millis(500);

/// The display of the steps.
pub(super) struct Steps {
    name: String,
    rounds: usize,
    /// The current round, from 1.
    round: usize,
    /// None if stderr is not a terminal.
    bar: Option<ProgressBar>,
}

impl Steps {
    /// Begins the display for a model of this name.
    pub(super) fn new(name: &str, rounds: usize) -> Steps {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed_precise} elapsed, {msg}");
            let bar = ProgressBar::no_length().with_style(style.expect("the template is well-formed"));
            bar.enable_steady_tick(TICK);
            bar
        });
        Steps { name: escaped(name).into_owned(), rounds, round: 0, bar }
    }

    /// Shows that a phase begins.
    pub(super) fn enter(&mut self, phase: Phase) {
        let Steps { name, rounds, round, bar } = self;
        *round += usize::from(phase == Phase::Model);
        let step = match phase {
            Phase::Build => format!("building {name} with random weights"),
            Phase::WarmUp => "running the first batch".to_owned(),
            Phase::FirstBatch(time) => format!("first batch after {:.2} s", time.as_secs_f64()),
            Phase::Model => format!("round {round} of {rounds}: the model"),
            Phase::Ceiling => format!("round {round} of {rounds}: its products alone"),
            Phase::End => return,
        };
        match bar {
            Some(bar) => bar.set_message(step),
            None => say(step),
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
