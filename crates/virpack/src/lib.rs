//! The program `virpack` as a function: [`run`] takes a command line and returns the exit code.
//!
//! The binary of that name only calls this function, so that another package can provide the same program.
//! Programs in Rust that embed or predict depend on `virpack-core` instead.

#![forbid(unsafe_code)]

mod again;
mod commands;
mod examples;
mod exit;
mod failure;
mod log;
mod messages;
mod noted;
mod panics;
mod plot;
mod signals;
mod stdout;
mod text;
mod usage;
mod values;
mod watch;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use commands::run::RunArguments;
use failure::Failure;
use log::LogFormat;
use std::ffi::OsString;

/// The first lines of `virpack` and of its help.
const ABOUT: &str = "\
Find viruses in contigs and reads, and embed proteins and nucleotides with language models.
Begin with `virpack predict contigs.fasta -o verdicts` or `virpack embed proteins.fasta -o emb.npy`:
the built-in model needs no download.";

/// The version, and the commit of the build if it is known.
const VERSION: &str = env!("VIRPACK_VERSION");

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "virpack", version = VERSION, about = ABOUT)]
#[command(arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find viruses: a verdict and scores for each contig or read
    ///
    /// Begin with `virpack predict contigs.fasta -o verdicts`, then read verdicts/sequences.tsv. The built-in
    /// model needs no download; `--preset virnucpro-500` runs VirNucPro.
    #[command(arg_required_else_help = true, after_help = examples::PREDICT)]
    Predict(commands::predict::Arguments),
    /// Apply other thresholds to finished `predict` runs, without computing them again
    ///
    /// Writes all files that follow from the scores of a run again: the report, the tables of sequences and
    /// regions, the FASTA files, the plots. Options that are not given stay as they were in the run.
    #[command(arg_required_else_help = true, after_help = examples::REPORT)]
    Report(commands::report::Arguments),
    /// Embed proteins or nucleotides with ESM-2, DNABERT-S or the built-in model
    ///
    /// Begin with `virpack embed proteins.fasta -o embeddings.parquet`: one row for each record, in input
    /// order. `--model esm2_t33_650M_UR50D` downloads a published model.
    #[command(arg_required_else_help = true, after_help = examples::EMBED)]
    Embed(commands::embed::Arguments),
    /// Divide an input into parts that many machines compute
    ///
    /// `virpack embed --plan DIR` (`virpack predict --plan DIR` after --predict) then computes parts, on any
    /// machine that can read DIR and the input. `virpack commit DIR` checks that the parts are complete.
    #[command(arg_required_else_help = true, after_help = examples::PLAN)]
    Plan(commands::plan::Arguments),
    /// Check the parts of a plan, and join them into one output
    #[command(arg_required_else_help = true, after_help = examples::COMMIT)]
    Commit(commands::commit::Arguments),
    /// Merge the shards of one input into one output
    #[command(after_help = examples::MERGE)]
    Merge(commands::merge::Arguments),
    /// Write the chunks of nucleotide records and their open reading frames
    #[command(after_help = examples::FRAMES)]
    Frames(commands::frames::Arguments),
    /// Plan the packing of FASTA or FASTQ files, without running a model
    #[command(after_help = examples::PACK)]
    Pack(commands::pack::Arguments),
    /// Check on your own data that packed results match unpacked ones, and reduced precision matches float32
    #[command(after_help = examples::VALIDATE)]
    Validate(commands::validate::Arguments),
    /// Measure the speed of the engine on this machine, without weights or inputs
    #[command(after_help = examples::BENCH)]
    Bench(commands::bench::Arguments),
    /// List models, show their size and memory, download them, convert classifiers
    Models(commands::models::Arguments),
    /// List the devices that virpack can use on this machine
    #[command(after_help = examples::DEVICES)]
    Devices(commands::devices::Arguments),
    /// Print completions for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(commands::completions::Arguments),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(commands::man::Arguments),
}

/// Runs a command line, the program's name first, and returns the exit code: 0 if the command succeeded, 1
/// for a fault of the input or the options, 2 for a fault of virpack, 130 if it was interrupted, 141 if its
/// output was closed.
///
/// Results go to standard output and to files, messages to standard error. The function is for a process
/// that runs one command: a signal to stop ends the process, and a second command in it has the handlers of
/// the first.
///
/// ```
/// assert_eq!(virpack::run(["virpack", "--version"].map(Into::into)), 0);
/// assert_eq!(virpack::run(["virpack", "embed", "--no-such-option"].map(Into::into)), 1);
/// ```
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let line: Vec<OsString> = arguments.into_iter().collect();
    let matches = usage::taking_negative_numbers(Arguments::command()).try_get_matches_from(&line);
    let mut arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return usage::report(&error, &line),
    };
    if let Command::Commit(arguments) = &mut arguments.command {
        arguments.command_line.clone_from(&line);
    }
    let log = match arguments.command.of_run() {
        Some(run) => {
            run.command_line = line;
            run.log.format
        }
        None => LogFormat::Text,
    };
    match panics::caught(log, || run_command(&arguments.command)) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => exit::report(&failure, log),
        // A fault of virpack, which must not end with another exit code.
        Err(_) => exit::OURS,
    }
}

impl Command {
    /// Returns the options of a run that can be resumed; None for other commands.
    fn of_run(&mut self) -> Option<&mut RunArguments> {
        match self {
            Command::Embed(arguments) => Some(&mut arguments.run),
            Command::Predict(arguments) => Some(&mut arguments.run),
            _ => None,
        }
    }
}

fn run_command(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Embed(arguments) => commands::embed::run(arguments),
        Command::Plan(arguments) => commands::plan::run(arguments),
        Command::Commit(arguments) => commands::commit::run(arguments),
        Command::Merge(arguments) => commands::merge::run(arguments),
        Command::Predict(arguments) => commands::predict::run(arguments),
        Command::Report(arguments) => commands::report::run(arguments),
        Command::Frames(arguments) => commands::frames::run(arguments),
        Command::Pack(arguments) => commands::pack::run(arguments),
        Command::Validate(arguments) => commands::validate::run(arguments),
        Command::Bench(arguments) => commands::bench::run(arguments),
        Command::Models(arguments) => commands::models::run(arguments),
        Command::Devices(arguments) => commands::devices::run(arguments),
        Command::Completions(arguments) => commands::completions::run(arguments),
        Command::Man(arguments) => commands::man::run(arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the help of `command` and of all below it, and returns how many they are.
    fn check_width(command: &mut clap::Command) -> usize {
        for help in [command.render_help(), command.render_long_help()] {
            let help = help.to_string();
            let wide = help.lines().find(|line| line.chars().count() > 100);
            assert_eq!(wide, None, "virpack {}", command.get_name());
        }
        1 + command.get_subcommands_mut().map(check_width).sum::<usize>()
    }

    #[test]
    fn the_help_of_every_command_fits_100_columns() {
        let mut command = usage::taking_negative_numbers(Arguments::command());
        command.build();
        assert!(check_width(&mut command) > 18);
    }
}
