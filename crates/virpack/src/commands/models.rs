//! `virpack models`.

use crate::failure::Failure;
use crate::text::{bytes, grouped, say};
use clap::{Args, Subcommand};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use virpack_core::device::CPU_TOKEN_BUDGET;
use virpack_core::model::classifier::Classifier;
use virpack_core::model::hub::{self, HubOptions, Repository};
use virpack_core::model::published::{NUCLEOTIDE, PUBLISHED};
use virpack_core::model::weights::Weights;
use virpack_core::model::{DnabertConfig, Location, ModelConfig, config_of, local, mini};
use virpack_core::predict::Bundle;
use virpack_seq::shown_path;

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
    /// A classifier of torch (.pth) as safetensors, which nobody needs to run code to read
    Convert {
        /// The classifier: a whole module or a state dict saved by torch, or safetensors
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// The file to write
        #[arg(value_name = "OUT.safetensors")]
        output: PathBuf,
        /// Replace an output that exists
        #[arg(long)]
        force: bool,
    },
}

/// Writes about models to stdout.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let hub = HubOptions::from_env();
    let out = &mut std::io::stdout().lock();
    match &arguments.command {
        Command::List => list(out, &hub),
        Command::Info { model } => match bundle(model)? {
            Some(bundle) => bundle_info(out, &bundle),
            None => info(out, model, &hub),
        },
        Command::Convert { input, output, force } => convert(input, output, *force),
    }
}

fn convert(input: &Path, output: &Path, force: bool) -> Result<(), Failure> {
    virpack_core::convert_classifier(input, output, force)?;
    let converted = Classifier::open(output)?;
    let chunks = converted.chunk_length().map_or_else(String::new, |n| format!(", chunks of {n} bases"));
    say(format_args!(
        "{}: {} features, {} hidden{chunks}",
        shown_path(output),
        grouped(converted.input_width() as u64),
        grouped(converted.hidden() as u64),
    ));
    Ok(())
}

fn list(out: &mut impl Write, hub: &HubOptions) -> Result<(), Failure> {
    writeln!(
        out,
        "{:<25} {:>6} {:>6} {:>5} {:>14}  cached",
        "name", "layers", "hidden", "heads", "parameters"
    )?;
    for name in mini::MODELS {
        row(out, name, &config_of(name, hub)?, "built in")?;
    }
    let proteins = PUBLISHED.iter().map(|model| (model.name, ModelConfig::Esm2(model.config())));
    let nucleotides = NUCLEOTIDE.map(|name| (name, ModelConfig::DnabertS(DnabertConfig::published())));
    for (name, config) in proteins.chain(nucleotides) {
        row(out, name, &config, if cached(name, hub).is_some() { "yes" } else { "no" })?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, config: &ModelConfig, cached: &str) -> std::io::Result<()> {
    writeln!(
        out,
        "{name:<25} {:>6} {:>6} {:>5} {:>14}  {cached}",
        config.layers(),
        config.hidden(),
        config.heads().map_or_else(|| "-".to_owned(), |heads| heads.to_string()),
        grouped(config.parameters()),
    )
}

/// The two models with their classifiers that `model` means, where it means such.
fn bundle(model: &str) -> Result<Option<Bundle>, Failure> {
    let path = Path::new(model);
    let location = match path.exists() {
        true => Location::from(path),
        false if model == mini::NAME => mini::location(),
        false => return Ok(None),
    };
    let both = ["peptide", "nucleotide"].iter().all(|name| location.join(name).is_directory());
    Ok(both.then(|| Bundle::open(&location)).transpose()?)
}

fn bundle_info(out: &mut impl Write, bundle: &Bundle) -> Result<(), Failure> {
    for location in [bundle.protein_model(), bundle.nucleotide_model()] {
        let weights = Weights::at(&location)?;
        let config = ModelConfig::of(&weights)?;
        writeln!(
            out,
            "{:<12} {location}: {} layers, {} wide, {}{} parameters ({})",
            config.family(),
            config.layers(),
            config.hidden(),
            config.heads().map_or_else(String::new, |heads| format!("{heads} heads, ")),
            grouped(config.parameters()),
            bytes(weights.files().map(|(_, size)| size).sum()),
        )?;
    }
    for &length in bundle.lengths() {
        let (frames, nucleotides) = bundle.classifiers(NonZeroUsize::new(length));
        let classifier = Classifier::at(&frames)?;
        let alone = nucleotides.map_or_else(String::new, |file| format!("; without an open frame: {file}"));
        writeln!(
            out,
            "classifier   {length} bases: {frames}, {} features, {} hidden{alone}",
            grouped(classifier.input_width() as u64),
            grouped(classifier.hidden() as u64),
        )?;
    }
    Ok(())
}

fn info(out: &mut impl Write, model: &str, hub: &HubOptions) -> Result<(), Failure> {
    let config = config_of(model, hub)?;
    match local(model, hub)? {
        Some(location) => {
            let weights = Weights::at(&location)?;
            for (file, size) in weights.files() {
                writeln!(out, "weights      {file} ({})", bytes(size))?;
            }
            for note in weights.notes() {
                writeln!(out, "note         {note}")?;
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
    let values_per_token: usize = config.shape().widths.iter().sum();
    writeln!(out, "model        {}", config.family())?;
    writeln!(out, "layers       {}", config.layers())?;
    writeln!(out, "hidden       {}", config.hidden())?;
    if let Some(heads) = config.heads() {
        writeln!(out, "heads        {heads} of {}", config.hidden() / heads)?;
    }
    if let ModelConfig::CodonConv(config) = &config {
        writeln!(out, "window       {} codons, {} in a layer", config.embedding_window, config.window)?;
    }
    writeln!(out, "feed-forward {}", config.intermediate())?;
    writeln!(out, "parameters   {}", grouped(config.parameters()))?;
    writeln!(
        out,
        "memory       {} in float32 ({} in 16 bits), and {} for batches of {} tokens",
        bytes(4 * config.parameters()),
        bytes(2 * config.parameters()),
        bytes((values_per_token * CPU_TOKEN_BUDGET * 4) as u64),
        grouped(CPU_TOKEN_BUDGET as u64)
    )?;
    Ok(())
}

fn cached(model: &str, hub: &HubOptions) -> Option<std::path::PathBuf> {
    hub::cached(&Repository::parse(model)?, hub)
}
