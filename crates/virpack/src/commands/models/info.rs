//! `virpack models info`.

use super::is_path;
use crate::failure::Failure;
use crate::text::{bytes, grouped};
use serde_json::{Value, json};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use virpack_core::device::CPU_TOKEN_BUDGET;
use virpack_core::model::classifier::Classifier;
use virpack_core::model::hub::{HubOptions, Repository};
use virpack_core::model::weights::Weights;
use virpack_core::model::{Location, ModelConfig, config_of, local, mini};
use virpack_core::predict::Bundle;

/// Describes a model, or a bundle of two models with their classifiers.
pub(super) fn run(out: &mut impl Write, model: &str, hub: &HubOptions, json: bool) -> Result<(), Failure> {
    let facts = match bundle(model)? {
        Some(bundle) => Facts::of_bundle(&bundle)?,
        None => Facts::of_model(model, hub)?,
    };
    if json {
        return Ok(writeln!(out, "{:#}", facts.json)?);
    }
    for (name, text) in &facts.lines {
        writeln!(out, "{name:<12} {text}")?;
    }
    Ok(())
}

/// The description of a model: lines for people, and the same as an object.
struct Facts {
    lines: Vec<(&'static str, String)>,
    json: Value,
}

/// Returns the two models with their classifiers that `model` names; None if it names one model.
fn bundle(model: &str) -> Result<Option<Bundle>, Failure> {
    let location = match is_path(model) {
        true => Location::from(Path::new(model)),
        false if model == mini::NAME => mini::location(),
        false => return Ok(None),
    };
    let both = ["peptide", "nucleotide"].iter().all(|name| location.join(name).is_directory());
    Ok(both.then(|| Bundle::open(&location)).transpose()?)
}

impl Facts {
    fn of_bundle(bundle: &Bundle) -> Result<Facts, Failure> {
        let (mut lines, mut models, mut classifiers) = (Vec::new(), Vec::new(), Vec::new());
        for location in [bundle.protein_model(), bundle.nucleotide_model()] {
            let weights = Weights::at(&location)?;
            let config = ModelConfig::of(&weights)?;
            let size: u64 = weights.files().map(|(_, size)| size).sum();
            let text = format!(
                "{location}: {} layers, {} wide, {}{} parameters ({})",
                config.layers(),
                config.hidden(),
                config.heads().map_or_else(String::new, |heads| format!("{heads} heads, ")),
                grouped(config.parameters()),
                bytes(size),
            );
            lines.push((config.family(), text));
            let mut model = shape(&config);
            model["path"] = location.to_string().into();
            model["bytes"] = size.into();
            models.push(model);
        }
        for &length in bundle.lengths() {
            let (frames, nucleotides) = bundle.classifiers(NonZeroUsize::new(length));
            let classifier = Classifier::at(&frames)?;
            let (features, hidden) = (classifier.input_width(), classifier.hidden());
            let alone = nucleotides.as_ref().map(ToString::to_string);
            let without =
                alone.as_ref().map_or_else(String::new, |file| format!("; without an open frame: {file}"));
            let [shown_features, shown_hidden] = [features, hidden].map(|n| grouped(n as u64));
            lines.push((
                "classifier",
                format!(
                    "{length} bases: {frames}, {shown_features} features, {shown_hidden} hidden{without}"
                ),
            ));
            classifiers.push(json!({
                "chunk_length": length,
                "path": frames.to_string(),
                "features": features,
                "hidden": hidden,
                "without_open_frame": alone,
            }));
        }
        Ok(Facts { lines, json: json!({ "models": models, "classifiers": classifiers }) })
    }

    fn of_model(model: &str, hub: &HubOptions) -> Result<Facts, Failure> {
        let config = config_of(model, hub)?;
        let (mut lines, mut files, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        match local(model, hub)? {
            Some(location) => {
                let weights = Weights::at(&location)?;
                for (file, size) in weights.files() {
                    lines.push(("weights", format!("{file} ({})", bytes(size))));
                    files.push(json!({ "path": file.to_string(), "bytes": size }));
                }
                for note in weights.notes() {
                    lines.push(("note", note.to_string()));
                    notes.push(note.to_string());
                }
            }
            None => {
                let name = Repository::parse(model).map_or_else(|| model.to_owned(), |found| found.id);
                lines.push(("weights", format!("not cached: `virpack models fetch {name}` downloads them")));
            }
        }
        let values_per_token: usize = config.shape().widths.iter().sum();
        let [whole, half] = [4, 2].map(|size| size * config.parameters());
        let batch = (values_per_token * CPU_TOKEN_BUDGET * 4) as u64;
        lines.extend([
            ("model", config.family().to_owned()),
            ("layers", config.layers().to_string()),
            ("hidden", config.hidden().to_string()),
        ]);
        if let Some(heads) = config.heads() {
            lines.push(("heads", format!("{heads} of {}", config.hidden() / heads)));
        }
        if let ModelConfig::CodonConv(config) = &config {
            let (first, later) = (config.embedding_window, config.window);
            lines.push(("window", format!("{first} codons, {later} in a layer")));
        }
        lines.extend([
            ("feed-forward", config.intermediate().to_string()),
            ("parameters", grouped(config.parameters())),
            (
                "memory",
                format!(
                    "{} in float32 ({} in 16 bits), and {} for batches of {} tokens",
                    bytes(whole),
                    bytes(half),
                    bytes(batch),
                    grouped(CPU_TOKEN_BUDGET as u64)
                ),
            ),
        ]);
        let mut facts = shape(&config);
        facts["weights"] = files.into();
        facts["notes"] = notes.into();
        facts["bytes_float32"] = whole.into();
        facts["bytes_16_bits"] = half.into();
        facts["batch_tokens"] = CPU_TOKEN_BUDGET.into();
        facts["batch_bytes"] = batch.into();
        Ok(Facts { lines, json: facts })
    }
}

fn shape(config: &ModelConfig) -> Value {
    json!({
        "family": config.family(),
        "layers": config.layers(),
        "hidden": config.hidden(),
        "heads": config.heads(),
        "intermediate": config.intermediate(),
        "parameters": config.parameters(),
    })
}
