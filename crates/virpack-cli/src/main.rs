//! `virpack` on the command line.

#![forbid(unsafe_code)]

mod again;
mod commands;
mod failure;
mod log;
mod noted;
mod panics;
mod plot;
mod signals;
mod text;
mod usage;
mod watch;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use failure::Failure;
use log::LogFormat;
use std::process::ExitCode;

/// Protein and nucleotide sequences to language-model embeddings, packed without padding.
#[derive(Debug, Parser)]
#[command(name = "virpack", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Embed every record of FASTA or FASTQ files with ESM-2 or DNABERT-S
    Embed(commands::embed::Arguments),
    /// Join the shards that several machines have made of one input
    Merge(commands::merge::Arguments),
    /// Say which nucleotide sequences are viral, as VirNucPro does
    Predict(commands::predict::Arguments),
    /// Cut nucleotides into chunks and write their open reading frames
    Frames(commands::frames::Arguments),
    /// Plan the packing of FASTA or FASTQ files, without running a model
    Pack(commands::pack::Arguments),
    /// Prove on your own records and weights that packed equals alone, and float16 float32
    Validate(commands::validate::Arguments),
    /// Measure the whole engine on made-up records, with random weights of a model's shape
    Bench(commands::bench::Arguments),
    /// Models: those known by name, and what one of them takes
    Models(commands::models::Arguments),
    /// The devices that virpack can run on here
    Devices,
    /// Completions for a shell, on stdout
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
        Command::Embed(arguments) => arguments.log.format,
        Command::Predict(arguments) => arguments.log.format,
        _ => LogFormat::Text,
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Embed(arguments) => commands::embed::run(arguments),
        Command::Merge(arguments) => commands::merge::run(arguments),
        Command::Predict(arguments) => commands::predict::run(arguments),
        Command::Frames(arguments) => commands::frames::run(arguments),
        Command::Pack(arguments) => commands::pack::run(arguments),
        Command::Validate(arguments) => commands::validate::run(arguments),
        Command::Bench(arguments) => commands::bench::run(arguments),
        Command::Models(arguments) => commands::models::run(arguments),
        Command::Devices => commands::devices::run(),
        Command::Completions(arguments) => commands::completions::run(arguments),
    }
}
