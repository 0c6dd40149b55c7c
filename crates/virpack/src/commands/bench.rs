//! `virpack bench`.

mod clocks;
mod steps;

use super::device::DeviceArguments;
use crate::failure::Failure;
use crate::log::LogArguments;
use crate::messages;
use crate::stdout;
use crate::text::{bytes, grouped, megabytes, short};
use crate::values::{parse_count, parse_seconds};
use clap::Args;
use clocks::{Clocks, Reading};
use std::io::Write;
use std::time::Duration;
use steps::Steps;
use virpack_core::bench::{BenchOptions, BenchReport, Phase, Round, UnsteadyError, bench};
use virpack_core::device::Device;
use virpack_core::for_devices;
use virpack_core::model::hub::HubOptions;
use virpack_core::model::published::PUBLISHED;
use virpack_core::model::{Esm2Config, ModelConfig, config_of};
use virpack_core::only;
use virpack_core::synthetic::Load;
use virpack_core::{Error, TokenBudget};
use virpack_seq::SeqError;

/// The arguments of `virpack bench`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Published model whose shape to run: 8M, 35M, 150M, 650M, 3B or 15B
    #[arg(long, value_name = "SIZE", required_unless_present = "model", conflicts_with = "model")]
    shape: Option<String>,

    /// Model whose shape to run, as in `virpack embed`; only its settings are read
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,

    /// Lengths of the records: orf (165 residues, open frames of 500-base chunks), prot (as in UniProt) or
    /// reads (50 residues)
    #[arg(long, value_name = "LOAD", default_value = "prot")]
    load: Load,

    #[command(flatten)]
    device: DeviceArguments,

    /// Maximum number of tokens in a batch; `auto` as in `virpack embed`
    #[arg(long, value_name = "N", default_value = "auto")]
    token_budget: TokenBudget,

    /// Seconds to run the model, and then its products alone, in each round
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = parse_seconds)]
    seconds: f64,

    /// Number of rounds, in which the model and its products alone take turns
    #[arg(long, value_name = "N", default_value = "2", value_parser = parse_count)]
    rounds: std::num::NonZeroUsize,

    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Measures, with the phases on stderr and the result on stdout.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = stdout::open()?;
    let options = BenchOptions::new(config(arguments)?, arguments.load)
        .token_budget(arguments.token_budget)
        .time(Duration::from_secs_f64(arguments.seconds))
        .rounds(arguments.rounds.get());
    let left_out = |card| LogArguments::lines(false).warn(messages::of_left_out(&card));
    let (report, clocks) = for_devices!(arguments.device.options().open_noting(left_out)?, |devices| {
        let device = only(devices);
        let mut clocks = Device::ordinal(&*device).map(Clocks::start);
        let mut steps = Steps::new(arguments.name(), arguments.rounds.get());
        let report = bench(device, &options, |phase| {
            steps.enter(phase);
            clocks.iter_mut().for_each(|clocks| clocks.enter(phase));
        });
        (report.map_err(of_shape)?, clocks.and_then(Clocks::finish))
    });
    if arguments.json {
        json(&mut out, arguments, &report, clocks)?;
    } else {
        table(&mut out, arguments, &report, clocks)?;
    }
    Ok(())
}

/// Words the hint of a model that the memory does not hold: the length of records is that of the load.
fn of_shape(error: Error) -> Failure {
    let Error::Seq(SeqError::NotEnoughMemory { needed, limit, .. }) = error else { return error.into() };
    let more = messages::more_memory(limit);
    let hint = format!("{} are needed; {more}, or take a smaller model with --shape", megabytes(needed));
    Failure::Reworded { error: Box::new(error), hint }
}

fn config(arguments: &Arguments) -> Result<Esm2Config, Failure> {
    if let Some(model) = &arguments.model {
        return match config_of(model, &HubOptions::from_env())? {
            ModelConfig::Esm2(config) => Ok(config),
            other => Err(Failure::BenchModel { model: model.clone(), family: other.family() }),
        };
    }
    let shape = arguments.shape.as_deref().unwrap_or_default();
    let found = PUBLISHED.iter().find(|model| model.size().eq_ignore_ascii_case(shape));
    found.map(|p| p.config()).ok_or_else(|| Failure::NoShape { shape: shape.to_owned() })
}

fn table(
    out: &mut impl Write,
    arguments: &Arguments,
    report: &BenchReport,
    clocks: Option<[Reading; 2]>,
) -> std::io::Result<()> {
    let mean = report.mean();
    writeln!(
        out,
        "{} {} on {}, up to {} tokens a batch, first batch after {:.2} s",
        arguments.name(),
        arguments.load,
        report.device,
        grouped(report.token_budget as u64),
        report.first_batch.as_secs_f64(),
    )?;
    for (i, round) in report.rounds.iter().enumerate() {
        writeln!(
            out,
            "round {}  {:>10} tokens/s  ceiling {:>10}",
            i + 1,
            grouped(round.tokens_per_second as u64),
            grouped(round.ceiling as u64)
        )?;
    }
    let (rate, sequences) = (grouped(mean.tokens_per_second as u64), short(mean.sequences_per_second));
    let ceiling = grouped(mean.ceiling as u64);
    match report.shares() {
        Ok([share, busy]) => writeln!(
            out,
            "mean     {rate:>10} tokens/s, {sequences}sequences/s, {:.1} % of the products' own rate ({ceiling} tokens/s), \
             device busy {:.1} %",
            100.0 * share,
            100.0 * busy,
        )?,
        Err(UnsteadyError) => writeln!(
            out,
            "mean     {rate:>10} tokens/s, {sequences}sequences/s; the products alone {ceiling} tokens/s\n\
             unsteady: a model cannot be faster than the products that are part of it, nor a device busy for longer than it \
             ran; stop what else runs here, and measure for longer: --seconds {} --rounds {}",
            (4.0 * arguments.seconds).ceil().max(10.0),
            arguments.rounds.get().max(3),
        )?,
    }
    if let (predicted, Some(taken)) = report.memory
        && report.device.starts_with("cuda")
    {
        writeln!(out, "memory   {} predicted, {} taken", bytes(predicted), bytes(taken))?;
    }
    if let Some([model, ceiling]) = clocks {
        writeln!(out, "clocks   {model} in the model, {ceiling} in the products alone")?;
    }
    Ok(())
}

fn json(
    out: &mut impl Write,
    arguments: &Arguments,
    report: &BenchReport,
    clocks: Option<[Reading; 2]>,
) -> std::io::Result<()> {
    let reading = |r: Reading| serde_json::json!({ "megahertz": r.megahertz, "watts": r.watts });
    let round = |r: &Round| {
        serde_json::json!({
            "tokens_per_second": r.tokens_per_second,
            "sequences_per_second": r.sequences_per_second,
            "busy": r.busy,
            "ceiling_tokens_per_second": r.ceiling,
        })
    };
    let all = serde_json::json!({
        "shape": arguments.shape.as_ref().or(arguments.model.as_ref()),
        "load": arguments.load.to_string(),
        "device": report.device,
        "token_budget": report.token_budget,
        "first_batch_seconds": report.first_batch.as_secs_f64(),
        "memory_predicted": report.memory.0,
        "memory_taken": report.memory.1,
        "rounds": report.rounds.iter().map(round).collect::<Vec<_>>(),
        "mean": round(&report.mean()),
        "share": report.shares().ok().map(|shares| shares[0]),
        "unsteady": report.shares().is_err(),
        "clocks": clocks.map(|[model, ceiling]| serde_json::json!({ "model": reading(model), "ceiling": reading(ceiling) })),
    });
    writeln!(out, "{all:#}")
}

impl Arguments {
    /// Returns the name of the shape or the model.
    fn name(&self) -> &str {
        self.shape.as_deref().or(self.model.as_deref()).unwrap_or_default()
    }
}

impl Clocks {
    /// Notes that a phase begins.
    fn enter(&mut self, phase: Phase) {
        match phase {
            Phase::Build | Phase::WarmUp | Phase::FirstBatch(_) => {}
            Phase::Model => self.mark(Some(0)),
            Phase::Ceiling => self.mark(Some(1)),
            Phase::End => self.mark(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_does_not_fit_is_told_without_options_of_other_commands() {
        let error = SeqError::NotEnoughMemory {
            available: 1,
            needed: 60_000_000_000,
            smallest_budget: 1024,
            limit: None,
        };
        let said = messages::of_failure(&of_shape(error.into())).text();
        assert!(said.contains("--shape") && !said.contains("--max-length"), "{said}");
    }
}
