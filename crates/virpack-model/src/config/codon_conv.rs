//! The settings of convolutional codon models.

use std::path::{Path, PathBuf};

use super::{ModelKind, Settings, config_beside, read_json, wrong_size};
use crate::ModelError;
use crate::location::Location;
use crate::weights::Weights;

/// The widest window, in tokens: far above any that pays.
const WIDEST_WINDOW: usize = 1_001;

/// The settings of a convolutional codon model, `model_type` `codon_conv`.
#[derive(Debug, Clone, PartialEq)]
pub struct CodonConvConfig {
    /// How many layers it has.
    pub layers: usize,
    /// Its width.
    pub hidden: usize,
    /// Width of a layer between its two products.
    pub intermediate: usize,
    /// Tokens of the window that a token's embedding sees; an odd number.
    pub embedding_window: usize,
    /// Tokens of the window that a layer sees; an odd number.
    pub window: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// The value that layer norms add to a variance.
    pub layer_norm_eps: f32,
}

impl CodonConvConfig {
    /// Returns the settings of the model that `weights` were opened from, in config.json beside them,
    /// checked against their shapes.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoConfig`] without settings, [`ModelError::Json`], [`ModelError::BadSetting`] for
    /// unusable ones, [`ModelError::UnsupportedModel`] for a model that virpack does not run, and those of
    /// [`Weights::check`].
    pub fn of(weights: &Weights) -> Result<Self, ModelError> {
        let config = Self::at(&config_beside(weights)?)?;
        config.check(weights)?;
        Ok(config)
    }

    /// Reads a config.json.
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
        if ModelKind::of(&json) != Some(ModelKind::CodonConv) {
            let given = settings.given("model_type");
            return Err(settings.unsupported("model_type", given, "\"codon_conv\""));
        }
        settings.refuse_other_weights()?;
        settings.refuse_other_activations()?;
        let config = Self {
            layers: settings.number("num_hidden_layers", None)?,
            hidden: settings.number("hidden_size", None)?,
            intermediate: settings.number("intermediate_size", None)?,
            embedding_window: settings.number("embedding_window", None)?,
            window: settings.number("window", None)?,
            vocab: settings.number("vocab_size", None)?,
            layer_norm_eps: settings.float("layer_norm_eps", 1e-5)?,
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
        for (setting, window) in [("embedding_window", self.embedding_window), ("window", self.window)] {
            if window % 2 == 0 || window > WIDEST_WINDOW {
                return unsupported(setting, window, "an odd number of tokens up to 1,001");
            }
        }
        match wrong_size([self.layers, self.hidden, self.intermediate]) {
            Some((setting, given, supported)) => unsupported(setting, given, supported),
            None => Ok(self),
        }
    }

    /// Checks that `weights` have all tensors of this model, in their shapes, and beside them known heads
    /// alone.
    ///
    /// # Errors
    ///
    /// As [`Weights::check`]; [`ModelError::UnreadTensors`], for a layer more, too.
    pub fn check(&self, weights: &Weights) -> Result<(), ModelError> {
        let tensors = self.tensors();
        weights.check(tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())))?;
        weights.refuse_unread(tensors.iter().map(|(name, _)| name.as_str()))
    }

    /// Every tensor that the encoder needs, with its shape.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, intermediate) = (self.hidden, self.intermediate);
        let mut tensors = vec![
            ("embeddings.word_embeddings.weight".to_owned(), vec![self.embedding_window, self.vocab, hidden]),
            ("embeddings.bias".to_owned(), vec![hidden]),
        ];
        for layer in 0..self.layers {
            for (part, shape) in [
                ("LayerNorm", vec![hidden]),
                ("intermediate.dense", vec![intermediate, self.window * hidden]),
                ("output.dense", vec![hidden, intermediate]),
            ] {
                let name = format!("encoder.layer.{layer}.{part}");
                tensors.push((format!("{name}.bias"), vec![shape[0]]));
                tensors.push((format!("{name}.weight"), shape));
            }
        }
        for part in ["weight", "bias"] {
            tensors.push((format!("encoder.emb_layer_norm_after.{part}"), vec![hidden]));
        }
        tensors
    }

    /// Shapes, `[outputs, inputs]`, of the weights that a layer multiplies with: those of the window's rows,
    /// side by side, and those that follow.
    #[must_use]
    pub fn products(&self) -> [[usize; 2]; 2] {
        [[self.intermediate, self.window * self.hidden], [self.hidden, self.intermediate]]
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

    fn read(setting: &str, value: serde_json::Value) -> Result<CodonConvConfig, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        let mut json = serde_json::json!({
            "model_type": "codon_conv", "vocab_size": 89, "hidden_size": 96, "embedding_window": 9,
            "num_hidden_layers": 2, "window": 5, "intermediate_size": 64, "pad_token_id": 3,
        });
        json[setting] = value;
        let path = folder.path().join("config.json");
        std::fs::write(&path, json.to_string()).unwrap();
        CodonConvConfig::read(&path)
    }

    #[test]
    fn settings_are_read_and_sizes_follow() {
        let config = read("layer_norm_eps", 1e-6.into()).unwrap();
        assert_eq!((config.layers, config.intermediate, config.layer_norm_eps), (2, 64, 1e-6));
        assert_eq!(config.products(), [[64, 480], [96, 64]]);
        let layer = 2 * 96 + 64 * 480 + 64 + 96 * 64 + 96;
        assert_eq!(config.parameters(), 9 * 89 * 96 + 96 + 2 * layer + 2 * 96);
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        for (setting, value, named) in [
            ("model_type", "esm".into(), "model_type"),
            ("window", 4.into(), "window"),
            ("embedding_window", 0.into(), "embedding_window"),
            ("window", 1_003.into(), "1,001"),
            ("hidden_act", "relu".into(), "hidden_act"),
            ("vocab_size", 70_000.into(), "65,535"),
            ("hidden_size", 0.into(), "sizes above 0"),
            ("num_hidden_layers", "two".into(), "num_hidden_layers"),
        ] {
            let error = read(setting, value).unwrap_err().to_string();
            assert!(error.contains(named), "{setting}: {error}");
        }
    }
}
