//! The facts that a shard holds about itself and its run.

use serde_json::{Value, json};
use virpack_seq::Shard;

use crate::identity::{Identity, IdentityDifference};

/// The facts that a shard holds about itself and its run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShardFacts {
    pub(crate) shard: Shard,
    /// Everything that shapes the rows.
    pub(crate) identity: Identity,
    /// The model's width.
    pub(crate) hidden: usize,
    /// Whether a record has a row for each residue.
    pub(crate) residues: bool,
    /// The inputs as the user named them.
    pub(crate) sources: Vec<String>,
    /// The facts about the run for the output.
    pub(crate) about: Vec<(String, String)>,
}

impl ShardFacts {
    /// Returns what differs from another shard of the same run.
    pub(crate) fn differences(&self, other: &ShardFacts) -> Vec<IdentityDifference> {
        let all = |facts: &ShardFacts| {
            let mut all = facts.identity.clone();
            all.set("shards", facts.shard.of());
            all
        };
        all(self).differences(&all(other))
    }

    pub(crate) fn to_json(&self) -> String {
        let about: Vec<_> = self.about.iter().map(|(name, value)| json!([name, value])).collect();
        let value = json!({
            "shard": self.shard.to_string(),
            "run": self.identity.to_json(),
            "hidden": self.hidden,
            "residues": self.residues,
            "sources": self.sources,
            "about": about,
        });
        value.to_string()
    }

    /// Parses the result of [`ShardFacts::to_json`]; returns `None` for anything else.
    pub(crate) fn of_json(text: &[u8]) -> Option<ShardFacts> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        let about = value.get("about")?.as_array()?.iter().map(|pair| {
            let [name, value] = <[String; 2]>::try_from(texts(pair)?).ok()?;
            Some((name, value))
        });
        Some(ShardFacts {
            shard: value.get("shard")?.as_str()?.parse().ok()?,
            identity: Identity::of_json(value.get("run")?)?,
            hidden: usize::try_from(value.get("hidden")?.as_u64()?).ok().filter(|hidden| *hidden > 0)?,
            residues: value.get("residues")?.as_bool()?,
            sources: texts(value.get("sources")?)?,
            about: about.collect::<Option<_>>()?,
        })
    }
}
