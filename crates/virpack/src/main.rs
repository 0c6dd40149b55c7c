//! `virpack` on the command line.

#![forbid(unsafe_code)]

mod again;
mod commands;
mod failure;
mod log;
mod messages;
mod noted;
mod panics;
mod plot;
mod signals;
mod text;
mod usage;
mod values;
mod watch;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use failure::Failure;
use log::LogFormat;
use std::process::ExitCode;

/// What `virpack` and its help say first.
const ABOUT: &str = "\
Find viruses in contigs and reads, and embed proteins and nucleotides with language models.
Begin with `virpack predict contigs.fasta -o verdicts` or `virpack embed proteins.fasta -o emb.npy`:
the built-in model needs no download.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "virpack", version, about = ABOUT, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What stands below the help of `predict`.
const PREDICT_EXAMPLES: &str = "Examples:
  virpack predict contigs.fasta -o verdicts --min-length 1000
  virpack predict genome.fasta -o proviruses --strict --plot";

/// What stands below the help of `report`.
const REPORT_EXAMPLES: &str = "Examples:
  virpack report verdicts --strict --plot
  virpack report monday tuesday --comparison both.html";

#[derive(Debug, Subcommand)]
enum Command {
    /// Find viruses: a verdict and scores for each contig or read
    ///
    /// Begin with `virpack predict contigs.fasta -o verdicts`, then read verdicts/sequences.tsv. The built-in
    /// model needs no download; `--preset virnucpro-500` runs VirNucPro.
    #[command(arg_required_else_help = true, after_help = PREDICT_EXAMPLES)]
    Predict(commands::predict::Arguments),
    /// Look at finished runs of `predict` in another way, without computing them again
    ///
    /// Makes all files that follow from a run's scores again: the report, the tables of sequences and
    /// regions, the FASTA files, the plots. What is not given stays as the run had it.
    #[command(arg_required_else_help = true, after_help = REPORT_EXAMPLES)]
    Report(commands::report::Arguments),
    /// Embed proteins or nucleotides with ESM-2, DNABERT-S or the built-in model
    ///
    /// Begin with `virpack embed proteins.fasta -o embeddings.parquet`: one row for each record, in input
    /// order. `--model esm2_t33_650M_UR50D` downloads a published model.
    #[command(arg_required_else_help = true)]
    Embed(commands::embed::Arguments),
    /// Merge the shards of one input into one output
    Merge(commands::merge::Arguments),
    /// Write the chunks of nucleotides and their open reading frames
    Frames(commands::frames::Arguments),
    /// Plan the packing of FASTA or FASTQ files, without running a model
    Pack(commands::pack::Arguments),
    /// Check on your data that packed results match unpacked ones, and reduced precision float32
    Validate(commands::validate::Arguments),
    /// Measure the speed of the engine here, without weights or inputs
    Bench(commands::bench::Arguments),
    /// List known models, show their size and memory, convert classifiers
    Models(commands::models::Arguments),
    /// List the devices that virpack can use here
    Devices,
    /// Print completions for a shell
    Completions(commands::completions::Arguments),
}

fn main() -> ExitCode {
    let matches = usage::taking_negative_numbers(Arguments::command()).try_get_matches();
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return usage::report(&error, std::env::args_os()),
    };
    let log = log_format(&arguments.command);
    match panics::caught(log, || run(&arguments.command)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(log),
        // Our fault, which must not leave with a code of its own.
        Err(_) => ExitCode::from(failure::OURS),
    }
}

/// How a command tells what it does.
fn log_format(command: &Command) -> LogFormat {
    match command {
        Command::Embed(arguments) => arguments.run.log.format,
        Command::Predict(arguments) => arguments.run.log.format,
        _ => LogFormat::Text,
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Embed(arguments) => commands::embed::run(arguments),
        Command::Merge(arguments) => commands::merge::run(arguments),
        Command::Predict(arguments) => commands::predict::run(arguments),
        Command::Report(arguments) => commands::report::run(arguments),
        Command::Frames(arguments) => commands::frames::run(arguments),
        Command::Pack(arguments) => commands::pack::run(arguments),
        Command::Validate(arguments) => commands::validate::run(arguments),
        Command::Bench(arguments) => commands::bench::run(arguments),
        Command::Models(arguments) => commands::models::run(arguments),
        Command::Devices => commands::devices::run(),
        Command::Completions(arguments) => commands::completions::run(arguments),
    }
}
