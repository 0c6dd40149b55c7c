//! `virpack models list`.

use super::cached;
use crate::failure::Failure;
use crate::text::grouped;
use serde_json::{Value, json};
use std::io::Write;
use virpack_core::model::hub::HubOptions;
use virpack_core::model::published::{NUCLEOTIDE, PUBLISHED, short_name};
use virpack_core::model::{DnabertConfig, ModelConfig, config_of, mini};

/// A model known by name.
struct Known {
    name: &'static str,
    /// What it reads.
    reads: &'static str,
    config: ModelConfig,
    /// `built in`, `yes` or `no`.
    cached: &'static str,
}

/// Writes a row for each model known by name.
pub(super) fn run(out: &mut impl Write, hub: &HubOptions, json: bool) -> Result<(), Failure> {
    let models = known(hub)?;
    if json {
        let models: Vec<_> = models.iter().map(Known::to_json).collect();
        return Ok(writeln!(out, "{:#}", Value::Array(models))?);
    }
    writeln!(
        out,
        "{:<25} {:<9} {:<8} {:>6} {:>6} {:>5} {:>14}  cached",
        "name", "short", "reads", "layers", "hidden", "heads", "parameters"
    )?;
    for Known { name, reads, config, cached } in &models {
        writeln!(
            out,
            "{name:<25} {:<9} {reads:<8} {:>6} {:>6} {:>5} {:>14}  {cached}",
            short_name(name).unwrap_or_else(|| "-".to_owned()),
            config.layers(),
            config.hidden(),
            config.heads().map_or_else(|| "-".to_owned(), |heads| heads.to_string()),
            grouped(config.parameters()),
        )?;
    }
    Ok(())
}

fn known(hub: &HubOptions) -> Result<Vec<Known>, Failure> {
    let is_cached = |name| if cached(name, hub).is_some() { "yes" } else { "no" };
    let mut models = Vec::new();
    for (name, reads) in mini::MODELS.into_iter().zip(["proteins", "DNA"]) {
        models.push(Known { name, reads, config: config_of(name, hub)?, cached: "built in" });
    }
    models.extend(PUBLISHED.iter().map(|model| Known {
        name: model.name,
        reads: "proteins",
        config: ModelConfig::Esm2(model.config()),
        cached: is_cached(model.name),
    }));
    models.extend(NUCLEOTIDE.map(|name| Known {
        name,
        reads: "DNA",
        config: ModelConfig::DnabertS(DnabertConfig::published()),
        cached: is_cached(name),
    }));
    Ok(models)
}

impl Known {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "short_name": short_name(self.name),
            "family": self.config.family(),
            "reads": self.reads,
            "layers": self.config.layers(),
            "hidden": self.config.hidden(),
            "heads": self.config.heads(),
            "parameters": self.config.parameters(),
            "cached": self.cached,
        })
    }
}
