//! `virpack embed --plan` and `virpack predict --plan`: the parts of a plan that this process makes.

use super::checkpoint::Keeps;
use super::run::RunArguments;
use super::{embed, predict};
use crate::failure::Failure;
use crate::text::{count, short};
use crate::watch::{DownloadBar, Watch};
use clap::Args;
use predict::Opening;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use virpack_core::device::{DeviceError, Remedy, Unavailable};
use virpack_core::model::hub::HubOptions;
use virpack_core::plan::{PartSummary, Plan};
use virpack_core::predict::Predictor;
use virpack_core::{CancelToken, Embedder, Error};
use virpack_seq::{Shard, shown_path};

/// Which parts of which plan.
#[derive(Clone, Debug, Args)]
pub(crate) struct PartArguments {
    /// Compute parts of the plan that `virpack plan -o DIR` has written, in a directory or at a URL; inputs
    /// and options are those of the plan
    #[arg(long, value_name = "DIR")]
    plan: Option<PathBuf>,

    /// Parts to compute: numbers and ranges (3,7-9), or every N-th part from number I on (I/N), for an array
    /// of N jobs [default: all missing parts]
    #[arg(long, value_name = "PARTS")]
    part: Option<PartChoice>,
}

/// Which parts are to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PartChoice {
    /// First and last of each range.
    Numbers(Vec<(u64, u64)>),
    /// Those of these that are missing.
    Every(Shard),
}

impl FromStr for PartChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected numbers from 1 and ranges, as 3,7-9, or I/N with I from 1 to N".to_owned();
        if text.contains('/') {
            return text.parse().map(PartChoice::Every).map_err(|_| wrong());
        }
        let number = |text: &str| text.parse().ok().filter(|number: &u64| *number > 0).ok_or_else(wrong);
        let range = |text: &str| match text.split_once('-') {
            None => number(text).map(|number| (number, number)),
            Some((first, last)) => match (number(first)?, number(last)?) {
                (first, last) if first <= last => Ok((first, last)),
                _ => Err(wrong()),
            },
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(PartChoice::Numbers)
    }
}

/// Parts of a plan: those to make, and how many of the requested ones exist.
pub(super) struct Parts {
    plan: Plan,
    to_make: Vec<u64>,
    there: Vec<PartSummary>,
    /// Requested parts that exist, by their sizes alone.
    left: u64,
}

impl PartArguments {
    /// Returns the requested parts; None without a plan.
    pub(super) fn plan(&self) -> Option<Result<Parts, Failure>> {
        let Some(directory) = &self.plan else {
            // clap does not require an option that conflicts with the inputs.
            return self.part.as_ref().map(|_| Err(Failure::PartWithoutPlan));
        };
        Some(
            Plan::open(directory).and_then(|plan| Parts::of(plan, self.part.as_ref())).map_err(Failure::from),
        )
    }
}

impl Parts {
    fn of(plan: Plan, choice: Option<&PartChoice>) -> Result<Parts, Error> {
        let (mut to_make, mut there) = (Vec::new(), Vec::new());
        let asked = match choice {
            Some(PartChoice::Numbers(ranges)) => {
                // A part requested by number is checked completely, because a commit may have named it.
                for number in ranges.iter().flat_map(|(first, last)| *first..=*last) {
                    match plan.part_that_is_there(number)? {
                        Some(part) => there.push(part),
                        None if to_make.contains(&number) => {}
                        None => to_make.push(number),
                    }
                }
                there.len() + to_make.len()
            }
            other => {
                let shard = match other {
                    Some(PartChoice::Every(shard)) => *shard,
                    _ => Shard::ALL,
                };
                let is_asked = |number: &u64| shard.contains(number - 1);
                to_make = plan.missing()?.into_iter().filter(is_asked).collect();
                plan.parts().iter().filter(|part| is_asked(&part.number)).count()
            }
        };
        let left = (asked - to_make.len()) as u64;
        Ok(Parts { plan, to_make, there, left })
    }
}

impl Parts {
    /// Makes parts of a plan of `embed`, with progress and a line for each on stderr.
    pub(super) fn embed(&self, arguments: &embed::Arguments) -> Result<(), Failure> {
        let options = self.plan.embedder_options()?;
        let options = options
            .downloads(HubOptions::from_env(), Arc::new(DownloadBar::new(arguments.run.log)))
            .token_budget(arguments.token_budget)
            .buffer_size(arguments.buffer.records())
            .packing(!arguments.no_packing)
            .device(arguments.device.options().dtype(self.plan.dtype()))
            .device_timeout(arguments.device.timeout());
        let limits = arguments.inputs.limits.limits();
        let made = self.make(&arguments.run, |watch, keeps, cancel, done| {
            let chosen = Cell::new(None);
            let embedder = Embedder::new(options, |event| embed::show(watch, keeps, &chosen, event))?;
            self.to_make.iter().try_for_each(|&number| {
                let each = |event| embed::show(watch, keeps, &chosen, event);
                done(&self.plan.embed_part(&embedder, number, limits, cancel, each)?);
                Ok(())
            })
        });
        made.map_err(of_plan)
    }

    /// Makes parts of a plan of `predict` in the same way.
    pub(super) fn predict(&self, arguments: &predict::Arguments) -> Result<(), Failure> {
        let options = self.plan.predict_options()?;
        let options = options
            .downloads(HubOptions::from_env(), Arc::new(DownloadBar::new(arguments.run.log)))
            .token_budget(arguments.token_budget)
            .device(arguments.device.options().dtype(self.plan.dtype()))
            .device_timeout(arguments.device.timeout());
        let limits = arguments.limits.limits();
        let opening = Opening::of(self.plan.model());
        let made = self.make(&arguments.run, |watch, keeps, cancel, done| {
            let predictor = Predictor::new(options, |event| predict::show(watch, keeps, &opening, event))?;
            self.to_make.iter().try_for_each(|&number| {
                let each = |event| predict::show(watch, keeps, &opening, event);
                done(&self.plan.predict_part(&predictor, number, limits, cancel, each)?);
                Ok(())
            })
        });
        made.map_err(of_plan)
    }

    /// Makes parts with `make`, which passes each on, unless there are none to make.
    fn make(
        &self,
        run: &RunArguments,
        make: impl FnOnce(&Watch, &Keeps, &CancelToken, &mut dyn FnMut(&PartSummary)) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let Parts { plan, to_make, there, left } = self;
        let (log, begun) = (run.log, Instant::now());
        for part in there {
            log.info(format_args!("part {} is there: {}", part.number, shown_path(&part.path)));
        }
        if to_make.is_empty() {
            log.info(format_args!("nothing to make: {} there", count(*left, "part is", "parts are")));
            return Ok(());
        }
        let rows = if plan.command() == "predict" { ["record", "records"] } else { ["row", "rows"] };
        let ended = run.run(
            |watch, keeps, cancel| {
                let mut made = Made { rows_are: rows, ..Made::default() };
                let mut done = |part: &PartSummary| {
                    watch.info(line(part, plan.parts().len(), rows));
                    made.add(part);
                };
                make(watch, keeps, cancel, &mut done)?;
                Ok(made)
            },
            || None,
        );
        let Some(made) = ended? else { return Ok(()) };
        log.summary(made.line(*left, begun.elapsed()), &made.report(*left, begun.elapsed()));
        Ok(())
    }
}

/// Words the hint of a precision that the device lacks: the plan's, which no option of this command changes.
fn of_plan(failure: Failure) -> Failure {
    let is_dtype = |error: &Error| match error {
        Error::DeviceChoice(error) => {
            let lacks = |why: &Unavailable| why.remedy == Remedy::ChangeDtype;
            error.is_dtype_of_auto().is_some() || error.unavailable().is_some_and(lacks)
        }
        Error::Device(error) => matches!(error, DeviceError::NotFinite { .. }),
        _ => false,
    };
    match failure {
        Failure::Virpack(error) if is_dtype(&error) => {
            let hint = "the plan sets the precision: make the plan again with another --dtype, or run on a \
                        device that has this one (`virpack devices`)";
            Failure::Reworded { error: Box::new(error), hint: hint.to_owned() }
        }
        other => other,
    }
}

/// The parts that were made.
#[derive(Default)]
struct Made {
    /// The noun for one row, and for several.
    rows_are: [&'static str; 2],
    parts: u64,
    rows: u64,
    skipped: u64,
    tokens: u64,
}

impl Made {
    fn add(&mut self, part: &PartSummary) {
        self.parts += 1;
        self.rows += part.rows;
        self.skipped += part.skipped;
        self.tokens += part.tokens;
    }

    fn line(&self, left: u64, elapsed: Duration) -> String {
        let (seconds, left) = (
            elapsed.as_secs_f64(),
            match left {
                0 => String::new(),
                n => format!(", {} there", count(n, "was", "were")),
            },
        );
        format!(
            "{} made{left}: {}, {} in {seconds:.1} s ({}tokens/s)",
            count(self.parts, "part", "parts"),
            count(self.rows, self.rows_are[0], self.rows_are[1]),
            count(self.tokens, "token", "tokens"),
            short(self.tokens as f64 / seconds.max(1e-9)),
        )
    }

    fn report(&self, left: u64, elapsed: Duration) -> Map<String, Value> {
        let numbers = [
            ("parts", self.parts),
            ("parts_there", left),
            ("rows", self.rows),
            ("skipped", self.skipped),
            ("tokens", self.tokens),
        ];
        let numbers = numbers.into_iter().map(|(name, number)| (name.to_owned(), Value::from(number)));
        numbers.chain([("seconds".to_owned(), elapsed.as_secs_f64().into())]).collect()
    }
}

/// Returns the line of a part.
fn line(part: &PartSummary, parts: usize, [row, rows]: [&str; 2]) -> String {
    let skipped = match part.skipped {
        0 => String::new(),
        n => format!(", {} skipped", count(n, "record", "records")),
    };
    format!(
        "part {} of {parts}: {}{skipped}, {} in {:.1} s: {}",
        part.number,
        count(part.rows, row, rows),
        count(part.tokens, "token", "tokens"),
        part.elapsed.as_secs_f64(),
        shown_path(&part.path),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbers_ranges_or_a_share() {
        assert_eq!("3,7-9".parse(), Ok(PartChoice::Numbers(vec![(3, 3), (7, 9)])));
        assert_eq!("2/8".parse(), Ok(PartChoice::Every(Shard::new(2, 8).unwrap())));
        for text in ["", "0", "9-7", "3,", "a", "0/8", "9/8", "1-2/3", "-1", "1--2"] {
            assert!(text.parse::<PartChoice>().is_err(), "{text}");
        }
    }
}
