//! A model's settings, and the refusal of those that virpack would get wrong.

mod codon_conv;
mod dnabert_s;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ModelError;
use crate::location::{CONFIG, Location};
use crate::weights::Weights;

/// How the names end under which checkpoints store the rotary frequencies: with every layer (all alike), or once.
/// transformers 5 holds them once and saves them for `encoder.layer.*`, with the asterisk.
pub(super) const ROTARY_FREQUENCIES: &str = "rotary_embeddings.inv_freq";
pub use codon_conv::CodonConvConfig;
pub use dnabert_s::DnabertConfig;

/// The families of models that virpack distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelKind {
    /// ESM-2, a protein model with rotary positions.
    Esm2,
    /// DNABERT-S and DNABERT-2, nucleotide models of the MosaicBERT kind, with ALiBi.
    DnabertS,
    /// Convolutions over codons, virpack's own.
    CodonConv,
}

impl ModelKind {
    /// Returns the kind of model in `config`, a parsed config.json, or nothing for all other kinds.
    pub(crate) fn of(config: &Value) -> Option<Self> {
        match config.get("model_type")?.as_str()? {
            "esm" => Some(Self::Esm2),
            "codon_conv" => Some(Self::CodonConv),
            // MosaicBERT calls itself bert; only its ALiBi setting gives it away.
            "bert" if config.get("alibi_starting_size").is_some() => Some(Self::DnabertS),
            _ => None,
        }
    }

    /// Returns the kind of model in the config.json at `location`, where there is one.
    pub(super) fn read(location: &Location) -> Result<Option<Self>, ModelError> {
        if location.exists() { Ok(Self::of(&read_json(location)?)) } else { Ok(None) }
    }
}

/// The settings of an ESM-2 model.
#[derive(Debug, Clone, PartialEq)]
pub struct Esm2Config {
    /// How many layers it has.
    pub layers: usize,
    /// Its width.
    pub hidden: usize,
    /// Attention heads in a layer; each is `hidden / heads` wide.
    pub heads: usize,
    /// Width of the feed-forward step.
    pub intermediate: usize,
    /// Tokens in the alphabet: always 33.
    pub vocab: usize,
    /// The value that layer norms add to a variance.
    pub layer_norm_eps: f32,
    /// Whether embeddings are scaled as in training, where some tokens were masked.
    pub token_dropout: bool,
    /// Id of `<mask>`: always 32.
    pub mask_token_id: u32,
    /// Id of `<pad>`: always 1.
    pub pad_token_id: u32,
    /// Longest input of the training, in tokens with special tokens. Rotary positions work beyond it.
    pub max_positions: usize,
}

impl Esm2Config {
    /// Returns the settings that all published ESM-2 models share, with these sizes.
    ///
    /// ```
    /// use virpack_model::Esm2Config;
    ///
    /// let config = Esm2Config::published(33, 1280, 20); // 650M
    /// assert_eq!((config.intermediate, config.parameters()), (5120, 649_400_320));
    /// ```
    #[must_use]
    pub fn published(layers: usize, hidden: usize, heads: usize) -> Self {
        Self {
            layers,
            hidden,
            heads,
            intermediate: 4 * hidden,
            vocab: 33,
            layer_norm_eps: 1e-5,
            token_dropout: true,
            mask_token_id: 32,
            pad_token_id: 1,
            max_positions: 1026,
        }
    }

    /// Returns the settings of the model that `weights` were opened from, checked against their shapes.
    ///
    /// They come from config.json in the directory of the weights, or from the checkpoint itself where it is
    /// fair-esm's and there is no config.json.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoConfig`] without settings, [`ModelError::Json`], [`ModelError::BadSetting`] for unusable ones,
    /// [`ModelError::UnsupportedModel`] for a model that virpack does not run, and those of [`Weights::check`].
    ///
    /// ```
    /// use virpack_model::weights::Weights;
    /// use virpack_model::{Esm2Config, mini};
    ///
    /// let peptide = Esm2Config::of(&Weights::at(&mini::location().join("peptide"))?)?;
    /// assert_eq!((peptide.layers, peptide.hidden, peptide.heads), (2, 128, 4));
    /// let nucleotide = Esm2Config::of(&Weights::at(&mini::location().join("nucleotide"))?).unwrap_err();
    /// assert!(nucleotide.to_string().contains("codon_conv"));
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn of(weights: &Weights) -> Result<Self, ModelError> {
        let file = weights.directory().join(CONFIG);
        let config = if file.exists() {
            Self::at(&file)?
        } else {
            let settings = weights.fair_esm().ok_or_else(|| ModelError::NoConfig {
                path: named(weights.directory().path()),
                in_checkpoint: weights.is_checkpoint(),
            })?;
            let published = Self::published(settings.layers, settings.hidden, settings.heads);
            // fair-esm builds four times the width; a checkpoint of another width shows it in its tensors.
            let intermediate = weights.shape("encoder.layer.0.intermediate.dense.bias");
            let intermediate = intermediate.and_then(|shape| shape.first().copied());
            let config = Self {
                token_dropout: settings.token_dropout,
                intermediate: intermediate.unwrap_or(published.intermediate),
                ..published
            };
            config.checked(weights.path().to_owned())?
        };
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
        let config = Settings { path: &path, json: &json }.esm2()?;
        config.checked(path)
    }

    /// Refuses sizes that cannot be run.
    fn checked(self, path: PathBuf) -> Result<Self, ModelError> {
        let unsupported = |setting, given: usize, supported| {
            Err(ModelError::UnsupportedModel { path, setting, given: given.to_string(), supported })
        };
        if self.vocab != 33 {
            return unsupported("vocab_size", self.vocab, "ESM-2's alphabet of 33 tokens");
        }
        if self.mask_token_id != 32 {
            return unsupported("mask_token_id", self.mask_token_id as usize, "32");
        }
        if self.pad_token_id != 1 {
            return unsupported("pad_token_id", self.pad_token_id as usize, "1");
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
    /// As [`Weights::check`]; [`ModelError::UnreadTensors`] and [`ModelError::UnlikeFrequencies`] for tensors that would have no
    /// part in the embeddings; [`ModelError::UnsupportedModel`] where a layer norm before the layers, or one layer
    /// more, shows that the weights are of another model.
    pub fn check(&self, weights: &Weights) -> Result<(), ModelError> {
        let unsupported = |setting, given: &str, supported| ModelError::UnsupportedModel {
            path: weights.path().to_owned(),
            setting,
            given: given.to_owned(),
            supported,
        };
        let before = "embeddings.layer_norm.weight";
        if weights.shape(before).is_some() {
            return Err(unsupported("the tensor before the layers", before, "ESM-2, not ESM-1b"));
        }
        let extra = format!("encoder.layer.{}.LayerNorm.weight", self.layers);
        if weights.shape(&extra).is_some() {
            return Err(unsupported("a tensor beyond the last layer", &extra, "all layers or none"));
        }
        let tensors = self.tensors();
        weights.check(tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())))?;
        let frequencies = weights.ending(ROTARY_FREQUENCIES);
        self.check_frequencies(weights, &frequencies)?;
        weights.refuse_unread(tensors.iter().map(|(name, _)| name.as_str()).chain(frequencies))
    }

    /// Refuses stored rotary frequencies of which some would not be used.
    fn check_frequencies(&self, weights: &Weights, names: &[&str]) -> Result<(), ModelError> {
        let read = |name: &str| weights.read(name, &[self.hidden / self.heads / 2]);
        let Some((first, others)) = names.split_first() else { return Ok(()) };
        let frequencies = read(first)?;
        for other in others {
            if read(other)? != frequencies {
                let tensors = [*first, *other].map(str::to_owned);
                return Err(ModelError::UnlikeFrequencies { path: weights.path().to_owned(), tensors });
            }
        }
        Ok(())
    }

    /// Every tensor that the encoder needs, named as in Hugging Face's bare encoder, with its shape.
    ///
    /// ```
    /// let tensors = virpack_model::Esm2Config::published(6, 320, 20).tensors();
    /// assert_eq!(tensors[0], ("embeddings.word_embeddings.weight".to_owned(), vec![33, 320]));
    /// assert_eq!(tensors.len(), 1 + 6 * 16 + 2);
    /// ```
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, intermediate) = (self.hidden, self.intermediate);
        let mut tensors = vec![("embeddings.word_embeddings.weight".to_owned(), vec![self.vocab, hidden])];
        for layer in 0..self.layers {
            let linears = [
                ("attention.self.query", hidden, hidden),
                ("attention.self.key", hidden, hidden),
                ("attention.self.value", hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", intermediate, hidden),
                ("output.dense", hidden, intermediate),
            ];
            for (name, outputs, inputs) in linears {
                let name = format!("encoder.layer.{layer}.{name}");
                tensors.push((format!("{name}.weight"), vec![outputs, inputs]));
                tensors.push((format!("{name}.bias"), vec![outputs]));
            }
            for name in ["attention.LayerNorm", "LayerNorm"] {
                let name = format!("encoder.layer.{layer}.{name}");
                tensors.push((format!("{name}.weight"), vec![hidden]));
                tensors.push((format!("{name}.bias"), vec![hidden]));
            }
        }
        tensors.push(("encoder.emb_layer_norm_after.weight".to_owned(), vec![hidden]));
        tensors.push(("encoder.emb_layer_norm_after.bias".to_owned(), vec![hidden]));
        tensors
    }

    /// Shapes, `[outputs, inputs]`, of the weights that a layer multiplies with: queries, keys and values in one,
    /// the attention's output, and the feed-forward step up and down.
    ///
    /// ```
    /// let [qkv, output, up, down] = virpack_model::Esm2Config::published(6, 320, 20).products();
    /// assert_eq!([qkv, output, up, down], [[960, 320], [320, 320], [1280, 320], [320, 1280]]);
    /// ```
    #[must_use]
    pub fn products(&self) -> [[usize; 2]; 4] {
        let (hidden, intermediate) = (self.hidden, self.intermediate);
        [[3 * hidden, hidden], [hidden, hidden], [intermediate, hidden], [hidden, intermediate]]
    }

    /// Returns how many parameters the encoder has, without any head.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let tensors = self.tensors();
        tensors.iter().map(|(_, shape)| shape.iter().map(|&n| n as u64).product::<u64>()).sum()
    }
}

/// Returns which of an encoder's sizes (layers, width, feed-forward width) cannot be run: the setting, its
/// value, and what could be.
fn wrong_size(sizes: [usize; 3]) -> Option<(&'static str, usize, &'static str)> {
    let [layers, hidden, intermediate] = sizes;
    if sizes.contains(&0) {
        return Some(("a size", 0, "sizes above 0"));
    }
    // Far above any published model; keeps a wrong number from filling the memory with tensor names.
    if layers > 1024 || hidden > 1 << 20 || intermediate > 1 << 22 {
        let largest = layers.max(hidden).max(intermediate);
        return Some(("a size", largest, "up to 1,024 layers of a width up to 1,048,576"));
    }
    None
}

/// Returns the same of attention heads.
fn wrong_heads(hidden: usize, heads: usize) -> Option<(&'static str, usize, &'static str)> {
    // Rotary positions turn pairs of a head's values.
    (heads == 0 || !hidden.is_multiple_of(2 * heads)).then_some((
        "num_attention_heads",
        heads,
        "heads of equal and even width",
    ))
}

fn read_json(location: &Location) -> Result<Value, ModelError> {
    let json = serde_json::from_slice(&location.read()?);
    json.map_err(|source| ModelError::Json { path: location.path(), source })
}

/// Returns where the config.json beside `weights` is; an error if there is none.
fn config_beside(weights: &Weights) -> Result<Location, ModelError> {
    let directory = weights.directory();
    let file = directory.join(CONFIG);
    if file.exists() {
        Ok(file)
    } else {
        Err(ModelError::NoConfig { path: named(directory.path()), in_checkpoint: false })
    }
}

/// Returns the path of a directory, `.` for the working directory.
fn named(directory: PathBuf) -> PathBuf {
    if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory }
}

/// A config.json on its way to a config.
struct Settings<'a> {
    path: &'a Path,
    json: &'a Value,
}

impl Settings<'_> {
    fn esm2(&self) -> Result<Esm2Config, ModelError> {
        self.refuse_other_models()?;
        let id = |setting, default| self.number(setting, Some(default)).map(|id| id as u32);
        Ok(Esm2Config {
            layers: self.number("num_hidden_layers", None)?,
            hidden: self.number("hidden_size", None)?,
            heads: self.number("num_attention_heads", None)?,
            intermediate: self.number("intermediate_size", None)?,
            vocab: self.number("vocab_size", Some(33))?,
            layer_norm_eps: self.float("layer_norm_eps", 1e-12)?,
            token_dropout: self.flag("token_dropout")?,
            mask_token_id: id("mask_token_id", 32)?,
            pad_token_id: id("pad_token_id", 1)?,
            max_positions: self.number("max_position_embeddings", Some(1026))?,
        })
    }

    /// Refuses activations other than the exact GELU, which every model here has between its two products.
    fn refuse_other_activations(&self) -> Result<(), ModelError> {
        if self.get("hidden_act").is_some_and(|act| act != "gelu") {
            let given = self.given("hidden_act");
            return Err(self.unsupported("hidden_act", given, "\"gelu\" (erf)"));
        }
        Ok(())
    }

    /// Refuses settings by which a loader makes other weights than the files hold, or runs code of the model's own.
    fn refuse_other_weights(&self) -> Result<(), ModelError> {
        if let Some(method) = self.get("quantization_config") {
            let method = method.get("quant_method").and_then(Value::as_str).unwrap_or("given");
            let supported =
                "weights in 16 or 32 bits: save them again without quantization (`model.dequantize()`)";
            return Err(self.unsupported("quantization_config", method.to_owned(), supported));
        }
        if self.get("pruned_heads").and_then(Value::as_object).is_some_and(|heads| !heads.is_empty()) {
            return Err(self.unsupported(
                "pruned_heads",
                self.given("pruned_heads"),
                "models with all their heads",
            ));
        }
        if let Some(file) = self.get("transformers_weights") {
            let supported =
                "model.safetensors and its kind: name that weights file itself, without the setting";
            return Err(self.unsupported("transformers_weights", file.to_string(), supported));
        }
        Ok(())
    }

    /// Refuses what would run and give wrong numbers.
    fn refuse_other_models(&self) -> Result<(), ModelError> {
        self.refuse_other_weights()?;
        if ModelKind::of(self.json) != Some(ModelKind::Esm2) {
            let given = match ModelKind::of(self.json) {
                Some(ModelKind::DnabertS) => "bert with ALiBi (DNABERT-S or DNABERT-2)".to_owned(),
                _ => self.given("model_type"),
            };
            return Err(self.unsupported("model_type", given, "ESM-2 (model_type \"esm\")"));
        }
        if let Some(code) = self.get("auto_map") {
            let code = code.get("AutoModel").or_else(|| code.as_object()?.values().next()).unwrap_or(code);
            let supported = "transformers' own ESM-2: remove auto_map where its code computes the same";
            return Err(self.unsupported("auto_map", code.to_string(), supported));
        }
        // Hugging Face's default, where the setting is absent, is ESM-1b's.
        if self.get("position_embedding_type").and_then(Value::as_str) != Some("rotary") {
            let given = self.given("position_embedding_type");
            return Err(self.unsupported("position_embedding_type", given, "\"rotary\""));
        }
        for setting in ["emb_layer_norm_before", "is_folding_model", "is_decoder", "add_cross_attention"] {
            if self.flag(setting)? {
                return Err(self.unsupported(setting, "true".to_owned(), "false"));
            }
        }
        self.refuse_other_activations()?;
        let rope = self.get("rope_parameters").or_else(|| self.get("rope_scaling"));
        let theta = rope.and_then(|rope| rope.get("rope_theta")).or_else(|| self.get("rope_theta"));
        if theta.is_some_and(|theta| theta.as_f64() != Some(10_000.0)) {
            let given = theta.map(Value::to_string).unwrap_or_default();
            return Err(self.unsupported("rope_theta", given, "10000"));
        }
        let rope_type = rope.and_then(|rope| rope.get("rope_type").or_else(|| rope.get("type")));
        if rope_type.is_some_and(|kind| kind != "default") {
            let given = rope_type.map(Value::to_string).unwrap_or_default();
            return Err(self.unsupported("rope_type", given, "\"default\""));
        }
        Ok(())
    }

    /// Returns a setting that is there and not null.
    fn get(&self, setting: &str) -> Option<&Value> {
        self.json.get(setting).filter(|value| !value.is_null())
    }

    fn number(&self, setting: &'static str, default: Option<usize>) -> Result<usize, ModelError> {
        match (self.get(setting), default) {
            (None, Some(default)) => Ok(default),
            // Sizes beyond u32 belong to no model and would overflow in products.
            (Some(value), _) => value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .map(|number| number as usize)
                .ok_or_else(|| self.bad(setting)),
            (None, None) => Err(self.bad(setting)),
        }
    }

    fn float(&self, setting: &'static str, default: f32) -> Result<f32, ModelError> {
        let Some(value) = self.get(setting) else { return Ok(default) };
        let float = value.as_f64().map(|float| float as f32);
        float.filter(|float| float.is_finite() && *float >= 0.0).ok_or_else(|| self.bad(setting))
    }

    fn flag(&self, setting: &'static str) -> Result<bool, ModelError> {
        self.get(setting).map_or(Ok(false), |value| value.as_bool().ok_or_else(|| self.bad(setting)))
    }

    fn given(&self, setting: &str) -> String {
        self.json.get(setting).map_or_else(|| "missing".to_owned(), Value::to_string)
    }

    fn bad(&self, setting: &'static str) -> ModelError {
        ModelError::BadSetting { path: self.path.to_owned(), setting, given: self.given(setting) }
    }

    fn unsupported(&self, setting: &'static str, given: String, supported: &'static str) -> ModelError {
        ModelError::UnsupportedModel { path: self.path.to_owned(), setting, given, supported }
    }
}
