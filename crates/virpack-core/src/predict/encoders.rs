//! Opens the two models that embed frames, checks them against the classifier, loads them onto devices and
//! starts them.

use std::sync::Arc;
use virpack_device::{Device, Dtype, Pool};

use virpack_seq::frames::{EncoderInput, FrameLoader, FrameOptions, Pair};
use virpack_seq::{
    AsyncDataLoader, CollatorOptions, GreedyPacker, LengthPolicy, LongRecords, PackerOptions, VarlenCollator,
};

use super::PredictOptions;
use super::classifiers::Classifiers;
use super::encoder_runner::EncoderRunner;
use super::features::Features;
use crate::cancel::CancelToken;
use crate::error::{Error, SettingProblem};
use crate::event::ModelBudget;
use crate::loaded_model::LoadedModel;
use crate::memory::buffer_size;
use crate::options::TokenBudget;
use crate::runner::{AsyncInferenceRunner, RunnerOptions};
use virpack_model::Location;
use virpack_model::ModelConfig;
use virpack_model::weights::Weights;

/// The names of the models.
const NAMES: Pair<&str> = Pair { nucleotide: "nucleotide", protein: "protein" };

/// The files of the models that are needed, opened but not yet read.
pub(super) struct EncoderFiles {
    weights: Pair<Option<Weights>>,
    features: Features,
}

/// The models that are needed, on their devices.
pub(super) struct Encoders<B: Device>(Pair<Option<EncoderCopies<B>>>);

/// A model on one or more devices.
struct EncoderCopies<B: Device> {
    /// The model's name, `nucleotide` or `protein`.
    name: &'static str,
    devices: Vec<LoadedModel<B>>,
    lengths: LengthPolicy,
    /// How its hidden states are pooled into an embedding.
    pool: Pool,
    /// Most tokens in a batch of the run that this one resumes.
    earlier_budget: Option<usize>,
}

impl EncoderFiles {
    /// Opens both models and checks that the classifiers take their embeddings.
    pub(super) fn open(models: &Pair<Location>, classifiers: &Classifiers) -> Result<Self, Error> {
        let weights = models.as_ref().try_map(Weights::at)?;
        let configs = weights.as_ref().try_map(ModelConfig::of)?;
        let expected =
            Pair { nucleotide: ("nucleotide_model", "DNABERT-S"), protein: ("protein_model", "ESM-2") };
        configs.as_ref().zip(weights.as_ref()).zip(expected).try_map(
            |((config, weights), (setting, wanted))| match (config, config.family()) {
                // virpack's own nucleotide model.
                (ModelConfig::CodonConv(_), _) if wanted == expected.nucleotide.1 => Ok(()),
                (_, given) if given != wanted => {
                    let path = weights.path().to_owned();
                    Err(SettingProblem::WrongModel { path, setting, given, wanted })
                }
                _ => Ok(()),
            },
        )?;
        let features = classifiers.features(&configs)?;
        let needed = weights.zip(features.needs());
        let weights = needed.map(|(weights, is_needed)| is_needed.then_some(weights));
        Ok(EncoderFiles { weights, features })
    }

    /// Returns what the models read from a chunk, and how it becomes rows.
    pub(super) fn features(&self) -> Features {
        self.features
    }

    /// Returns what a user should know about the weights, each note after the model's name.
    pub(super) fn notes(&self) -> Vec<String> {
        let named = |(name, weights): (&str, &Weights)| {
            let notes = weights.notes().into_iter();
            notes.map(|note| format!("{name} model: {note}")).collect::<Vec<_>>()
        };
        self.named().flat_map(named).collect()
    }

    /// Returns all files of the models and classifiers, each after its description. Files of one description
    /// are adjacent.
    pub(super) fn files(&self, classifiers: &Classifiers) -> Vec<(String, Location)> {
        let both = [Some(&classifiers.frames), classifiers.nucleotides.as_ref()];
        let both = ["classifier", "nucleotide classifier"].into_iter().zip(both);
        let of_both = both.filter_map(|(kind, own)| Some((kind.to_owned(), own?.location().clone())));
        let mut files: Vec<_> = of_both.collect();
        for (name, weights) in self.named() {
            let model = format!("{name} model");
            files.extend(weights.files().map(|(location, _)| (model.clone(), location.clone())));
            let kind = |file: &Location| {
                let path = file.path();
                format!("{model}'s {}", path.file_name().unwrap_or_default().display())
            };
            files.extend(weights.beside().map(|file| (kind(&file), file)));
        }
        files
    }

    /// Returns the models that are needed, each after its name.
    fn named(&self) -> impl Iterator<Item = (&'static str, &Weights)> {
        NAMES
            .zip(self.weights.as_ref())
            .into_iter()
            .filter_map(|(_, (name, weights))| Some((name, weights.as_ref()?)))
    }
}

impl<B: Device + 'static> Encoders<B> {
    /// Reads the models onto their devices and reserves the memory of their batches. `earlier_budgets` are
    /// the tokens of a batch in the run that this one resumes, for each model that is needed.
    pub(super) fn load(
        files: EncoderFiles,
        devices: Pair<Vec<Arc<B>>>,
        options: &PredictOptions,
        frames: &FrameOptions,
        earlier_budgets: &[usize],
    ) -> Result<Self, Error> {
        let mut earlier_budgets = earlier_budgets.iter().copied();
        let names = NAMES.zip(files.features.pools());
        let each = files.weights.zip(devices).zip(names.zip(frames.longest()));
        let load = |((weights, devices), ((name, pool), max_length))| {
            let Some(weights): Option<Weights> = weights else { return Ok(None) };
            let lengths = LengthPolicy { max_length, min_length: 1, long_records: LongRecords::Error };
            let earlier_budget = earlier_budgets.next();
            let asked = earlier_budget.map_or(options.token_budget, TokenBudget::Tokens);
            let devices = LoadedModel::load_on_all(devices, &weights, lengths, false, asked)?;
            Ok::<_, Error>(Some(EncoderCopies { name, devices, lengths, pool, earlier_budget }))
        };
        Ok(Encoders(each.try_map(load)?))
    }

    /// Returns the devices, as shown to people.
    pub(super) fn device_names(&self) -> Vec<String> {
        self.0.present().next_back().map(EncoderCopies::device_names).unwrap_or_default()
    }

    /// Returns a precision that would be faster on this machine.
    pub(super) fn faster_dtype(&self) -> Option<Dtype> {
        self.0.present().flat_map(|copies| &copies.devices).find_map(|device| device.backend.faster_dtype())
    }

    /// Returns the most tokens in a batch, for each model that is needed.
    pub(super) fn token_budgets(&self) -> Vec<ModelBudget> {
        let budget = |copies: &EncoderCopies<B>| ModelBudget {
            model: Some(copies.name),
            tokens: copies.token_budget(),
        };
        self.0.present().map(budget).collect()
    }

    /// Returns how the sequences of each model are tokenized and packed.
    pub(super) fn inputs(&self, options: &PredictOptions) -> Result<Pair<Option<EncoderInput>>, Error> {
        let input = |copies: &EncoderCopies<B>| copies.input(options.buffer_size);
        self.0.as_ref().try_map(|copies| copies.as_ref().map(input).transpose())
    }

    /// Starts to run the batches of `loader`.
    pub(super) fn start(
        &self,
        loader: &FrameLoader,
        options: &PredictOptions,
        cancel: &CancelToken,
    ) -> Result<Pair<Option<EncoderRunner>>, Error> {
        let each = self.0.as_ref().zip(loader.batches().as_ref());
        each.try_map(|(copies, batches)| {
            let both = copies.as_ref().zip(batches.as_ref());
            both.map(|(copies, batches)| copies.start(batches.clone(), options, cancel)).transpose()
        })
    }
}

impl<B: Device + 'static> EncoderCopies<B> {
    fn device_names(&self) -> Vec<String> {
        self.devices.iter().map(|device| device.backend.name()).collect()
    }

    /// Returns the budget of the smallest device, which all devices get.
    fn token_budget(&self) -> usize {
        let budgets = self.devices.iter().map(|device| device.token_budget);
        self.earlier_budget.or(budgets.min()).expect("a model has a device")
    }

    /// Returns how its sequences are tokenized and packed.
    fn input(&self, asked: Option<usize>) -> Result<EncoderInput, Error> {
        let packer = GreedyPacker::new(PackerOptions::new(self.token_budget(), self.lengths.max_tokens()))?;
        let buffer_size = asked.unwrap_or_else(|| buffer_size(self.token_budget()));
        let options = CollatorOptions::default().buffer_size(buffer_size);
        let collator = VarlenCollator::new(packer, options)?;
        Ok(EncoderInput { tokenizer: Arc::clone(&self.devices[0].model.tokenizer), collator })
    }

    /// Starts to run its batches.
    fn start(
        &self,
        batches: AsyncDataLoader,
        options: &PredictOptions,
        cancel: &CancelToken,
    ) -> Result<EncoderRunner, Error> {
        let config = &self.devices[0].model.config;
        let (layer, width) = (config.layers(), self.pool.width(config.hidden()));
        let multiplications = |[outputs, inputs]: &[usize; 2]| outputs * inputs;
        let cost = (layer * config.shape().products.iter().map(multiplications).sum::<usize>()) as f64;
        let options = RunnerOptions::new(layer).device_timeout(options.device_timeout).cancel(cancel.clone());
        let options = options.pool(self.pool);
        let on = |device: &LoadedModel<B>| (Arc::clone(&device.backend), Arc::clone(&device.model.encoder));
        let runner = AsyncInferenceRunner::new(self.devices.iter().map(on).collect(), batches, options)?;
        let (token_budget, device_names) = (self.token_budget(), self.device_names());
        Ok(EncoderRunner { name: self.name, runner, is_over: false, width, cost, token_budget, device_names })
    }
}
