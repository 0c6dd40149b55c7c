//! `virpack models`.

mod convert;
mod fetch;
mod info;
mod list;

use crate::examples;
use crate::failure::Failure;
use crate::stdout;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use virpack_core::model::hub::{self, HubOptions, Repository};

/// The arguments of `virpack models`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// List the models known by name
    #[command(after_help = examples::MODELS_LIST)]
    List {
        /// Print a JSON array of objects instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show a model's size, shape and memory, and where its files are
    #[command(after_help = examples::MODELS_INFO)]
    Info {
        /// A directory or file of weights, a name (`models list`), or ORG/REPO on the Hugging Face Hub
        model: String,
        /// Print a JSON object instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Download models into the Hugging Face cache, for a machine that is offline later
    #[command(after_help = examples::MODELS_FETCH)]
    Fetch {
        /// Names (`models list`), or ORG/REPO on the Hugging Face Hub
        #[arg(required = true)]
        models: Vec<String>,
        /// Show no progress; only warnings and errors
        #[arg(long, short)]
        quiet: bool,
    },
    /// Convert a torch classifier (.pth) to safetensors, which is safe to load
    #[command(after_help = examples::MODELS_CONVERT)]
    Convert {
        /// The classifier: a complete model or a state dict saved by torch, or safetensors
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// The file to write
        #[arg(value_name = "OUT.safetensors")]
        output: PathBuf,
        /// Replace an existing output
        #[arg(long)]
        force: bool,
    },
}

/// Runs the subcommand. Lists and facts go to stdout.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let hub = HubOptions::from_env();
    match &arguments.command {
        ModelsCommand::List { json } => list::run(&mut stdout::open()?, &hub, *json),
        ModelsCommand::Info { model, json } => info::run(&mut stdout::open()?, model, &hub, *json),
        ModelsCommand::Fetch { models, quiet } => fetch::run(&mut stdout::open()?, models, &hub, *quiet),
        ModelsCommand::Convert { input, output, force } => convert::run(input, output, *force),
    }
}

/// Returns where the files of a published model are in the cache; None if they are not there.
fn cached(model: &str, hub: &HubOptions) -> Option<PathBuf> {
    hub::cached(&Repository::parse(model)?, hub)
}

/// Returns whether the name is a path, and not a model of the Hub.
fn is_path(model: &str) -> bool {
    Path::new(model).exists()
}
