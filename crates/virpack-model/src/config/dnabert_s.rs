//! The settings of DNABERT-S and its kind.

use std::path::{Path, PathBuf};

use super::{ModelKind, Settings, config_beside, read_json, wrong_heads, wrong_size};
use crate::ModelError;
use crate::location::Location;
use crate::weights::Weights;

/// The settings of a MosaicBERT: DNABERT-S, DNABERT-2.
#[derive(Debug, Clone, PartialEq)]
pub struct DnabertConfig {
    /// How many layers it has.
    pub layers: usize,
    /// Its width.
    pub hidden: usize,
    /// Attention heads in a layer; each is `hidden / heads` wide.
    pub heads: usize,
    /// Width of the feed-forward step, gate and value each.
    pub intermediate: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// Rows of the table of token types; the first is used.
    pub token_types: usize,
    /// The value that layer norms add to a variance.
    pub layer_norm_eps: f32,
}

impl DnabertConfig {
    /// Returns the settings that DNABERT-S and DNABERT-2 share: 117 M parameters.
    #[must_use]
    pub fn published() -> Self {
        Self {
            layers: 12,
            hidden: 768,
            heads: 12,
            intermediate: 3072,
            vocab: 4096,
            token_types: 2,
            layer_norm_eps: 1e-12,
        }
    }

    /// Returns the settings of the model that `weights` were opened from, in config.json beside them,
    /// checked against their shapes.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoConfig`] without settings, [`ModelError::Json`], [`ModelError::BadSetting`] for unusable ones,
    /// [`ModelError::UnsupportedModel`] for a model that virpack does not run, and those of [`Weights::check`].
    pub fn of(weights: &Weights) -> Result<Self, ModelError> {
        let config = Self::at(&config_beside(weights)?)?;
        config.check(weights)?;
        Ok(config)
    }

    /// Reads a config.json in Hugging Face layout.
    ///
    /// # Errors
    ///
    /// As [`Self::of`], without those of the weights.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        Self::at(&path.into())
    }

    fn at(location: &Location) -> Result<Self, ModelError> {
        let (path, json) = (location.path(), read_json(location)?);
        let settings = Settings { path: &path, json: &json };
        if ModelKind::of(&json) != Some(ModelKind::DnabertS) {
            let supported = "MosaicBERT (model_type \"bert\" with alibi_starting_size)";
            return Err(settings.unsupported("model_type", settings.given("model_type"), supported));
        }
        settings.refuse_other_weights()?;
        for setting in ["is_decoder", "add_cross_attention"] {
            if settings.flag(setting)? {
                return Err(settings.unsupported(setting, "true".to_owned(), "false"));
            }
        }
        settings.refuse_other_activations()?;
        let config = Self {
            layers: settings.number("num_hidden_layers", None)?,
            hidden: settings.number("hidden_size", None)?,
            heads: settings.number("num_attention_heads", None)?,
            intermediate: settings.number("intermediate_size", None)?,
            vocab: settings.number("vocab_size", None)?,
            token_types: settings.number("type_vocab_size", Some(2))?,
            layer_norm_eps: settings.float("layer_norm_eps", 1e-12)?,
        };
        config.checked(path)
    }

    /// Refuses sizes that cannot be run.
    fn checked(self, path: PathBuf) -> Result<Self, ModelError> {
        let unsupported = |setting, given: usize, supported| {
            Err(ModelError::UnsupportedModel { path, setting, given: given.to_string(), supported })
        };
        // Token ids travel in 16 bits.
        if self.vocab == 0 || self.vocab > usize::from(u16::MAX) {
            return unsupported("vocab_size", self.vocab, "1 to 65,535 tokens");
        }
        if self.token_types == 0 {
            return unsupported("type_vocab_size", 0, "at least 1");
        }
        if let Some((setting, given, supported)) = wrong_size([self.layers, self.hidden, self.intermediate])
            .or_else(|| wrong_heads(self.hidden, self.heads))
        {
            return unsupported(setting, given, supported);
        }
        Ok(self)
    }

    /// Checks that `weights` have all tensors of this model, in their shapes, and beside them known heads alone.
    ///
    /// # Errors
    ///
    /// As [`Weights::check`]; [`ModelError::UnreadTensors`]; [`ModelError::UnsupportedModel`] where one layer more shows that the weights are of another
    /// model.
    pub fn check(&self, weights: &Weights) -> Result<(), ModelError> {
        let extra = format!("encoder.layer.{}.mlp.wo.weight", self.layers);
        if weights.shape(&extra).is_some() {
            return Err(ModelError::UnsupportedModel {
                path: weights.path().to_owned(),
                setting: "a tensor beyond the last layer",
                given: extra,
                supported: "all layers or none",
            });
        }
        let tensors = self.tensors();
        weights.check(tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())))?;
        weights.refuse_unread(tensors.iter().map(|(name, _)| name.as_str()))
    }

    /// Every tensor that the encoder needs, named as in the published checkpoints without `bert.`, with its shape.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, intermediate) = (self.hidden, self.intermediate);
        let mut tensors = vec![
            ("embeddings.word_embeddings.weight".to_owned(), vec![self.vocab, hidden]),
            ("embeddings.token_type_embeddings.weight".to_owned(), vec![self.token_types, hidden]),
        ];
        let norm = |tensors: &mut Vec<_>, name: String| {
            tensors.push((format!("{name}.weight"), vec![hidden]));
            tensors.push((format!("{name}.bias"), vec![hidden]));
        };
        norm(&mut tensors, "embeddings.LayerNorm".to_owned());
        for layer in 0..self.layers {
            let name = |part| format!("encoder.layer.{layer}.{part}");
            for (part, outputs, inputs) in [
                ("attention.self.Wqkv", 3 * hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("mlp.wo", hidden, intermediate),
            ] {
                tensors.push((format!("{}.weight", name(part)), vec![outputs, inputs]));
                tensors.push((format!("{}.bias", name(part)), vec![outputs]));
            }
            tensors.push((name("mlp.gated_layers.weight"), vec![2 * intermediate, hidden]));
            norm(&mut tensors, name("attention.output.LayerNorm"));
            norm(&mut tensors, name("mlp.layernorm"));
        }
        tensors
    }

    /// Shapes, `[outputs, inputs]`, of the weights that a layer multiplies with: queries, keys and values in one,
    /// the attention's output, gate and value in one, and the feed-forward step down.
    #[must_use]
    pub fn products(&self) -> [[usize; 2]; 4] {
        let (hidden, intermediate) = (self.hidden, self.intermediate);
        [[3 * hidden, hidden], [hidden, hidden], [2 * intermediate, hidden], [hidden, intermediate]]
    }

    /// Returns how many parameters the encoder has, without any head.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let tensors = self.tensors();
        tensors.iter().map(|(_, shape)| shape.iter().map(|&n| n as u64).product::<u64>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_published_checkpoint() {
        // Embeddings (4,096 + 2 + 2) · 768; a layer 768 · (2,304 + 768 + 6,144 + 3,072), biases 2,304 + 768 + 768 and
        // two norms.
        let layer = 768 * (2_304 + 768 + 6_144 + 3_072) + 2_304 + 768 + 768 + 4 * 768;
        assert_eq!(DnabertConfig::published().parameters(), 4_100 * 768 + 12 * layer);
    }
}
