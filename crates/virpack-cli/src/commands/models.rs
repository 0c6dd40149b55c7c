//! `virpack models`.

use crate::failure::Failure;
use crate::text::{bytes, grouped};
use clap::{Args, Subcommand};
use std::io::Write;
use virpack::memory::CPU_TOKEN_BUDGET;
use virpack::model::config_of;
use virpack::model::esm2::shape;
use virpack::model::hub::{self, HubOptions, Repository};
use virpack::model::published::PUBLISHED;
use virpack::model::weights::Weights;

/// What `virpack models` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The models known by name
    List,
    /// Sizes, shapes and memory of a model, and where its files are
    Info {
        /// A directory or file of weights, a name, or ORG/REPO
        model: String,
    },
}

/// Writes about models to stdout.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let hub = HubOptions::from_env();
    let out = &mut std::io::stdout().lock();
    match &arguments.command {
        Command::List => list(out, &hub),
        Command::Info { model } => info(out, model, &hub),
    }
}

fn list(out: &mut impl Write, hub: &HubOptions) -> Result<(), Failure> {
    writeln!(
        out,
        "{:<22} {:>6} {:>6} {:>5} {:>14}  cached",
        "name", "layers", "hidden", "heads", "parameters"
    )?;
    for model in &PUBLISHED {
        let config = model.config();
        writeln!(
            out,
            "{:<22} {:>6} {:>6} {:>5} {:>14}  {}",
            model.name,
            config.layers,
            config.hidden,
            config.heads,
            grouped(config.parameters()),
            if cached(model.name, hub).is_some() { "yes" } else { "no" },
        )?;
    }
    Ok(())
}

fn info(out: &mut impl Write, model: &str, hub: &HubOptions) -> Result<(), Failure> {
    let config = config_of(model, hub)?;
    match hub::local(model, hub)? {
        Some(path) => {
            for (path, size) in Weights::open(&path)?.files() {
                writeln!(out, "weights      {} ({})", path.display(), bytes(size))?;
            }
        }
        None => {
            let repository = Repository::parse(model).map_or_else(|| model.to_owned(), |found| found.id);
            writeln!(
                out,
                "weights      not cached: `virpack embed` downloads {repository} when it first runs"
            )?;
        }
    }
    let values_per_token: usize = shape(&config).widths.iter().sum();
    writeln!(out, "layers       {}", config.layers)?;
    writeln!(out, "hidden       {}", config.hidden)?;
    writeln!(out, "heads        {} of {}", config.heads, config.hidden / config.heads)?;
    writeln!(out, "feed-forward {}", config.intermediate)?;
    writeln!(out, "parameters   {}", grouped(config.parameters()))?;
    writeln!(
        out,
        "memory       {} in float32 ({} in 16 bits), and {} for batches of {} tokens",
        bytes(config.weight_bytes(4)),
        bytes(config.weight_bytes(2)),
        bytes((values_per_token * CPU_TOKEN_BUDGET * 4) as u64),
        grouped(CPU_TOKEN_BUDGET as u64)
    )?;
    Ok(())
}

fn cached(model: &str, hub: &HubOptions) -> Option<std::path::PathBuf> {
    hub::cached(&Repository::parse(model)?, hub)
}
