//! Any of the models, chosen by its config.json.

use std::str::FromStr;
use std::sync::Arc;

use virpack_device::{Backend, ModelShape};
use virpack_seq::tokenize::BpeProblem;
use virpack_seq::{BpeTokenizer, CodonTokenizer, EsmTokenizer, SeqError, Tokenizer};

use crate::ModelError;
use crate::codon_conv::CodonConv;
use crate::config::{CodonConvConfig, DnabertConfig, Esm2Config, ModelKind};
use crate::dnabert_s::DnabertS;
use crate::encoder::Encoder;
use crate::esm2::Esm2;
use crate::location::{CONFIG, Location, TOKENIZER};
use crate::weights::Weights;

/// The settings of a model of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelConfig {
    /// ESM-2.
    Esm2(Esm2Config),
    /// DNABERT-S or DNABERT-2.
    DnabertS(DnabertConfig),
    /// Convolutions over codons.
    CodonConv(CodonConvConfig),
}

impl ModelConfig {
    /// Returns the settings of the model that `weights` were opened from, checked against their shapes.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Esm2Config::of`], [`DnabertConfig::of`] and [`CodonConvConfig::of`].
    ///
    /// ```
    /// use virpack_model::weights::Weights;
    /// use virpack_model::{ModelConfig, mini};
    ///
    /// let weights = Weights::at(&mini::location().join("nucleotide"))?;
    /// let config = ModelConfig::of(&weights)?;
    /// assert_eq!((config.family(), config.layers(), config.hidden()), ("CodonConv", 2, 112));
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn of(weights: &Weights) -> Result<Self, ModelError> {
        match ModelKind::read(&weights.directory().join(CONFIG))? {
            Some(ModelKind::DnabertS) => DnabertConfig::of(weights).map(Self::DnabertS),
            Some(ModelKind::CodonConv) => CodonConvConfig::of(weights).map(Self::CodonConv),
            // What is neither is refused there, by its name.
            _ => Esm2Config::of(weights).map(Self::Esm2),
        }
    }

    /// Returns what the model is called, for people.
    #[must_use]
    pub fn family(&self) -> &'static str {
        match self {
            Self::Esm2(_) => "ESM-2",
            Self::DnabertS(_) => "DNABERT-S",
            Self::CodonConv(_) => "CodonConv",
        }
    }

    /// Returns how many layers it has.
    #[must_use]
    pub fn layers(&self) -> usize {
        match self {
            Self::Esm2(config) => config.layers,
            Self::DnabertS(config) => config.layers,
            Self::CodonConv(config) => config.layers,
        }
    }

    /// Its width.
    #[must_use]
    pub fn hidden(&self) -> usize {
        match self {
            Self::Esm2(config) => config.hidden,
            Self::DnabertS(config) => config.hidden,
            Self::CodonConv(config) => config.hidden,
        }
    }

    /// Attention heads in a layer; None of a model without attention.
    #[must_use]
    pub fn heads(&self) -> Option<usize> {
        match self {
            Self::Esm2(config) => Some(config.heads),
            Self::DnabertS(config) => Some(config.heads),
            Self::CodonConv(_) => None,
        }
    }

    /// Width of the feed-forward step.
    #[must_use]
    pub fn intermediate(&self) -> usize {
        match self {
            Self::Esm2(config) => config.intermediate,
            Self::DnabertS(config) => config.intermediate,
            Self::CodonConv(config) => config.intermediate,
        }
    }

    /// Returns how many parameters the encoder has, without any head.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        match self {
            Self::Esm2(config) => config.parameters(),
            Self::DnabertS(config) => config.parameters(),
            Self::CodonConv(config) => config.parameters(),
        }
    }

    /// Returns what it holds, for a device to say what that takes.
    ///
    /// ```
    /// use virpack_device::{Cpu, Device};
    /// use virpack_model::config_of;
    /// use virpack_model::hub::HubOptions;
    ///
    /// // What 650M takes on the CPU, without its weights here.
    /// let config = config_of("esm2_t33_650M_UR50D", &HubOptions::from_env())?;
    /// let footprint = Cpu::new(None)?.footprint(&config.shape(), 1024, false);
    /// assert_eq!(footprint.weights, config.parameters() * 4);
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    #[must_use]
    pub fn shape(&self) -> ModelShape {
        match self {
            Self::Esm2(config) => config.shape(),
            Self::DnabertS(config) => config.shape(),
            Self::CodonConv(config) => config.shape(),
        }
    }

    /// Returns what it holds, as `weights` store it.
    ///
    /// ```
    /// use virpack_device::{Cpu, Device};
    /// use virpack_model::weights::Weights;
    /// use virpack_model::{ModelConfig, mini};
    ///
    /// // The peptide encoder is stored in float16, and stays so in memory.
    /// let weights = Weights::at(&mini::location().join("peptide"))?;
    /// let config = ModelConfig::of(&weights)?;
    /// let bytes = |shape| Cpu::new(None).map(|cpu| cpu.footprint(&shape, 1024, false).weights);
    /// assert!(bytes(config.shape_in(&weights))? < bytes(config.shape())? * 6 / 10);
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    #[must_use]
    pub fn shape_in(&self, weights: &Weights) -> ModelShape {
        ModelShape { stored_in_16_bits: weights.are_in_16_bits(), ..self.shape() }
    }

    /// Returns the most residues, or bases, of a record that go through unless asked otherwise.
    #[must_use]
    pub fn max_length(&self) -> usize {
        match self {
            Self::Esm2(_) => 1022,
            Self::DnabertS(_) => 4000,
            // Whole codons: the parts of a longer record are read in the same frame.
            Self::CodonConv(_) => 3000,
        }
    }

    /// Its tokenizer; `directory` is that of its weights.
    ///
    /// # Errors
    ///
    /// Where the model has a file for it and that cannot be used.
    ///
    /// ```
    /// use virpack_model::weights::Weights;
    /// use virpack_model::{ModelConfig, mini};
    ///
    /// let weights = Weights::at(&mini::location().join("nucleotide"))?;
    /// let tokenizer = ModelConfig::of(&weights)?.tokenizer(&weights.directory())?;
    /// assert!(tokenizer.merges_letters()); // words of three bases
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn tokenizer(&self, directory: &Location) -> Result<Arc<dyn Tokenizer>, ModelError> {
        Ok(match self {
            Self::Esm2(_) => Arc::new(EsmTokenizer::new()),
            Self::DnabertS(config) => {
                let file = directory.join(TOKENIZER);
                let tokenizer: BpeTokenizer = read_tokenizer(&file)?;
                check_vocabulary(&file, tokenizer.vocabulary(), config.vocab)?;
                Arc::new(tokenizer)
            }
            Self::CodonConv(config) => {
                let file = directory.join(TOKENIZER);
                let tokenizer: CodonTokenizer = read_tokenizer(&file)?;
                check_vocabulary(&file, tokenizer.vocabulary(), config.vocab)?;
                Arc::new(tokenizer)
            }
        })
    }
}

fn read_tokenizer<T: FromStr<Err = BpeProblem>>(file: &Location) -> Result<T, ModelError> {
    let text = file.read_up_to(BpeTokenizer::LARGEST_FILE)?;
    let tokenizer = String::from_utf8_lossy(&text).parse();
    Ok(tokenizer.map_err(|problem| SeqError::Tokenizer { path: file.path(), problem })?)
}

/// Refuses a tokenizer with more tokens than a model has embeddings for.
fn check_vocabulary(file: &Location, tokens: usize, embeddings: usize) -> Result<(), ModelError> {
    if tokens <= embeddings {
        return Ok(());
    }
    Err(ModelError::UnsupportedModel {
        path: file.path(),
        setting: "the vocabulary",
        given: format!("of {tokens} tokens"),
        supported: "it where it is no larger than config.json's vocab_size",
    })
}

/// A model on a backend, of any kind, with what reads its input.
pub struct Model<B: Backend> {
    /// Its settings.
    pub config: ModelConfig,
    /// What runs.
    pub encoder: Arc<dyn Encoder<B>>,
    /// Letters to its tokens.
    pub tokenizer: Arc<dyn Tokenizer>,
}

impl<B: Backend> Clone for Model<B> {
    fn clone(&self) -> Self {
        let Self { config, encoder, tokenizer } = self;
        Self { config: config.clone(), encoder: Arc::clone(encoder), tokenizer: Arc::clone(tokenizer) }
    }
}

impl<B: Backend + 'static> Model<B> {
    /// Reads the model onto a backend, one tensor at a time, and its tokenizer, which comes first: it costs
    /// nothing.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`ModelConfig::of`], [`ModelConfig::tokenizer`], [`Weights::read`] and the
    /// backend.
    ///
    /// ```
    /// use virpack_device::Cpu;
    /// use virpack_model::weights::Weights;
    /// use virpack_model::{Model, mini};
    ///
    /// let weights = Weights::at(&mini::location().join("peptide"))?;
    /// let model = Model::load(&Cpu::new(None)?, &weights)?;
    /// assert_eq!((model.encoder.layers(), model.encoder.hidden_size()), (2, 128));
    /// # Ok::<(), virpack_model::ModelError>(())
    /// ```
    pub fn load(backend: &B, weights: &Weights) -> Result<Self, ModelError> {
        let config = ModelConfig::of(weights)?;
        let tokenizer = config.tokenizer(&weights.directory())?;
        let encoder: Arc<dyn Encoder<B>> = match &config {
            ModelConfig::Esm2(config) => Arc::new(Esm2::build(backend, config.clone(), weights)?),
            ModelConfig::DnabertS(config) => Arc::new(DnabertS::build(backend, config.clone(), weights)?),
            ModelConfig::CodonConv(config) => Arc::new(CodonConv::build(backend, config.clone(), weights)?),
        };
        Ok(Self { config, encoder, tokenizer })
    }
}
