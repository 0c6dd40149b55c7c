//! `virpack pack`.

use super::choice::choice;
use super::input::{BufferArguments, Inputs};
use crate::failure::Failure;
use crate::messages;
use crate::plot;
use crate::stdout;
use crate::text::{grouped, say, short};
use crate::values::parse_whole;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use virpack_core::device::CPU_TOKEN_BUDGET;
use virpack_core::model::hub::HubOptions;
use virpack_core::model::{config_of, mini, tokenizer_of};
use virpack_seq::{
    Algorithm, CollatorOptions, EsmTokenizer, Input, LengthCounts, LengthHistogram, LengthPolicy,
    PackerOptions, Plan, Planner, ReadOptions, Tokenizer, plan_records,
};

/// The arguments of `virpack pack`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    inputs: Inputs,

    #[command(flatten)]
    buffer: BufferArguments,

    /// Maximum number of tokens in a batch, special tokens included
    #[arg(long, value_name = "N", default_value_t = CPU_TOKEN_BUDGET, value_parser = parse_whole)]
    token_budget: usize,

    /// Packing algorithm
    #[arg(long, value_enum, default_value_t = Packing::Ffd)]
    algorithm: Packing,

    /// Model to plan for, as in `virpack embed`, never downloaded [default: any ESM-2 model, as all share one
    /// alphabet; virpack-mini/nucleotide if the first records are nucleotides]
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,

    /// Print a JSON object instead of tables
    #[arg(long)]
    json: bool,

    /// Plot the lengths and the fill of the batches, as .svg or .png
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// Replace an existing plot, unless it is an input
    #[arg(long, requires = "plot")]
    force: bool,
}

choice! {
    enum Packing for Algorithm {
        /// First-Fit Decreasing
        Ffd => Algorithm::FirstFitDecreasing,
        /// Best-Fit Decreasing
        Bfd => Algorithm::BestFitDecreasing,
        /// Next-Fit Decreasing
        Nfd => Algorithm::NextFitDecreasing,
        /// Next-Fit in input order
        Nf => Algorithm::NextFit,
    }
}

/// Plans the packing and writes it to stdout.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let start = Instant::now();
    let out = &mut stdout::open()?;
    // A mistyped option is reported before an input is read.
    arguments.inputs.lengths()?;
    if let Some(path) = &arguments.plot {
        plot::check(path, arguments.force)?;
    }
    let inputs = arguments.inputs.inputs();
    virpack_core::output::check_apart(arguments.plot.as_deref(), &inputs)
        .map_err(virpack_core::Error::from)?;
    let (tokenizer, lengths) = tokenizer_and_lengths(arguments, &inputs)?;
    let reading = ReadOptions::default().limits(arguments.inputs.limits.limits());
    let records = virpack_seq::reader::open_with(&inputs, reading)?;
    let packer = PackerOptions::new(arguments.token_budget, lengths.max_tokens());
    let packer = packer.algorithm(arguments.algorithm.into());
    let buffer_size = arguments.buffer.records().unwrap_or(CollatorOptions::default().buffer_size);
    let planner = Planner::new(packer, CollatorOptions::default().buffer_size(buffer_size))?;
    let progress = records.progress();
    let (plan, counts) = plan_records(records, &tokenizer, &lengths, planner)?;
    if let Some(path) = &arguments.plot {
        plot::draw(&plan, path, arguments.force)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    for remark in progress.remarks_on(&inputs) {
        say(format_args!("warning: {remark}"));
    }
    if let Some(warning) = &plan.stats.warning {
        say(messages::of_warning(warning).text());
    }
    if arguments.json { json(out, &plan, &counts, seconds) } else { tables(out, &plan, &counts, seconds) }
}

/// Returns the tokenizer and the lengths of the named model, or of a model that reads such inputs. If the
/// choice is a nucleotide model, it is reported.
fn tokenizer_and_lengths(
    arguments: &Arguments,
    inputs: &[Input],
) -> Result<(Arc<dyn Tokenizer>, LengthPolicy), Failure> {
    let hub = HubOptions::from_env();
    let model = match &arguments.model {
        Some(model) => model.as_str(),
        None => match mini::model_for(inputs, arguments.inputs.limits.limits()) {
            Ok(model) if model == mini::MODELS[1] => {
                say(format_args!(
                    "planned for {model}, as these are nucleotides; others are named by --model"
                ));
                model
            }
            // Nucleotides from a pipe are refused while they are read.
            Ok(_) | Err(virpack_core::model::ModelError::AlphabetOfPipe { .. }) => {
                return Ok((
                    Arc::new(EsmTokenizer::new()),
                    arguments.inputs.lengths()?.up_to(LengthPolicy::default().max_length),
                ));
            }
            Err(error) => return Err(error.into()),
        },
    };
    let config = config_of(model, &hub)?;
    Ok((tokenizer_of(model, &hub)?, arguments.inputs.lengths()?.up_to(config.max_length())))
}

fn json(out: &mut impl Write, plan: &Plan, counts: &LengthCounts, seconds: f64) -> Result<(), Failure> {
    let algorithms: serde_json::Map<_, _> = plan
        .algorithms
        .iter()
        .map(|(algorithm, stats)| {
            let facts = serde_json::json!({ "batches": stats.batches, "efficiency": stats.efficiency() });
            (algorithm.as_str().to_owned(), facts)
        })
        .collect();
    let object = serde_json::json!({
        "records": counts.records,
        "sequences": plan.stats.sequences,
        "tokens": plan.stats.tokens,
        "batches": plan.stats.batches,
        "lower_bound": plan.stats.lower_bound,
        "efficiency": plan.stats.efficiency(),
        "padding_avoided": plan.stats.padding_avoided(),
        "truncated": plan.truncated,
        "windows": counts.windows,
        "too_long": counts.too_long,
        "too_short": counts.too_short,
        "empty": counts.empty,
        "unknown": counts.unknown,
        "gaps": counts.gaps,
        "longest": plan.stats.longest,
        "token_budget": plan.packer.token_budget,
        "buffer_size": plan.collator.buffer_size,
        "algorithm": plan.packer.algorithm.as_str(),
        "algorithms": algorithms,
        "seconds": seconds,
    });
    writeln!(out, "{object:#}")?;
    Ok(())
}

fn tables(out: &mut impl Write, plan: &Plan, counts: &LengthCounts, seconds: f64) -> Result<(), Failure> {
    let stats = &plan.stats;
    histogram(out, &plan.lengths)?;
    writeln!(out)?;
    writeln!(out, "{:<10} {:>10} {:>11}", "algorithm", "batches", "efficiency")?;
    for (algorithm, stats) in &plan.algorithms {
        let chosen = if *algorithm == plan.packer.algorithm { " <" } else { "" };
        let percent = 100.0 * stats.efficiency();
        writeln!(out, "{:<10} {:>10} {percent:>9.3} %{chosen}", algorithm.as_str(), grouped(stats.batches))?;
    }
    let best = 100.0 * stats.best_efficiency();
    writeln!(out, "{:<10} {:>10} {best:>9.3} %", "bound", grouped(stats.lower_bound))?;
    writeln!(out)?;
    writeln!(out, "records         {}", grouped(counts.records))?;
    writeln!(out, "sequences       {}", grouped(stats.sequences))?;
    writeln!(out, "tokens          {}", grouped(stats.tokens))?;
    writeln!(out, "padding avoided {} tokens", grouped(stats.padding_avoided()))?;
    writeln!(out, "truncated       {}", grouped(plan.truncated))?;
    if counts.windowed > 0 {
        writeln!(out, "in windows      {} ({} windows)", grouped(counts.windowed), grouped(counts.windows))?;
    }
    let (long, short_, empty) = (counts.too_long, counts.too_short, counts.empty);
    writeln!(out, "skipped         {long} too long, {short_} too short, {empty} empty")?;
    writeln!(out, "unknown letters {}", grouped(counts.unknown))?;
    writeln!(out, "gap characters  {}", grouped(counts.gaps))?;
    let rate = short(stats.tokens as f64 / seconds.max(1e-9));
    writeln!(out, "took            {seconds:.2} s ({rate}tokens/s)")?;
    Ok(())
}

/// Draws at most twelve bars, each at least a power of two wide.
fn histogram(out: &mut impl Write, lengths: &LengthHistogram) -> Result<(), Failure> {
    let width = (lengths.longest() as u64 / 12 + 1).next_power_of_two();
    let mut bars = vec![0u64; lengths.longest() / width as usize + 1];
    for (length, count) in lengths.iter() {
        bars[(length / width) as usize] += count;
    }
    let highest = bars.iter().copied().max().unwrap_or(0).max(1);
    writeln!(out, "{:>13} {:>12}", "tokens", "sequences")?;
    for (i, count) in bars.iter().enumerate() {
        let first = i as u64 * width;
        let bar = "#".repeat((count * 40).div_ceil(highest) as usize);
        writeln!(out, "{:>13} {:>12} {bar}", format!("{first}-{}", first + width - 1), grouped(*count))?;
    }
    Ok(())
}
