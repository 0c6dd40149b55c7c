//! The two models: opened, checked against the classifier, put on their devices, started.

use std::sync::Arc;
use virpack_device::Device;

use virpack_seq::frames::{EncoderInput, FrameLoader, FrameOptions};
use virpack_seq::{CollatorOptions, GreedyPacker, LengthPolicy, LongRecords, PackerOptions, VarlenCollator};

use super::PredictOptions;
use super::classifiers::Classifiers;
use super::join::RunningTower;
use super::summary::MODELS;
use crate::Error;
use crate::cancel::CancelToken;
use crate::event::ModelBudget;
use crate::loaded_model::LoadedModel;
use crate::memory::buffer_size;
use crate::runner::{AsyncInferenceRunner, RunnerOptions};
use virpack_model::weights::Weights;
use virpack_model::{Location, ModelConfig};

/// The two models' files, looked at and not yet read.
pub(super) struct Opened {
    weights: [Weights; 2],
    /// Which of them take part.
    needed: [bool; 2],
}

/// The models that take part, on their devices.
pub(super) struct Loaded<B: Device>([Option<LoadedTower<B>>; 2]);

/// A model on its devices, at least one.
struct LoadedTower<B: Device> {
    devices: Vec<LoadedModel<B>>,
    lengths: LengthPolicy,
    /// Most tokens in a batch of the run that this one goes on from.
    earlier_budget: Option<usize>,
}

impl Opened {
    /// Opens both models and checks that the classifiers take what they give.
    pub(super) fn open(options: &PredictOptions, classifiers: &mut Classifiers) -> Result<Self, Error> {
        let weights = [Weights::at(&options.nucleotide_model)?, Weights::at(&options.protein_model)?];
        let configs = [ModelConfig::of(&weights[0])?, ModelConfig::of(&weights[1])?];
        for (config, (tower, wanted)) in configs.iter().zip([(0, "DNABERT-S"), (1, "ESM-2")]) {
            if config.family() != wanted {
                return Err(Error::WrongModel {
                    path: weights[tower].path().to_owned(),
                    option: ["nucleotide_model", "protein_model"][tower],
                    given: config.family(),
                    wanted,
                });
            }
        }
        classifiers.check_widths(configs[0].hidden(), configs[1].hidden())?;
        Ok(Opened { weights, needed: classifiers.needs() })
    }

    /// What a user should know of the weights of the models that take part, each behind the model's name.
    pub(super) fn notes(&self) -> Vec<String> {
        let needed = self.weights.iter().enumerate().filter(|(i, _)| self.needed[*i]);
        let named = |(i, weights): (usize, &Weights)| {
            weights.notes().into_iter().map(move |note| format!("{} model: {note}", MODELS[i]))
        };
        needed.flat_map(named).collect()
    }

    /// All files of the models that take part, and the classifiers', each behind what it is here; those of one kind stand
    /// side by side.
    pub(super) fn files(&self, classifiers: &Classifiers) -> Vec<(String, Location)> {
        let both = [Some(&classifiers.frames), classifiers.nucleotides.as_ref()];
        let both = ["classifier", "nucleotide classifier"].into_iter().zip(both);
        let of_both = both.filter_map(|(kind, own)| Some((kind.to_owned(), own?.location().clone())));
        let mut files: Vec<_> = of_both.collect();
        for (i, weights) in self.weights.iter().enumerate().filter(|(i, _)| self.needed[*i]) {
            let model = format!("{} model", MODELS[i]);
            files.extend(weights.files().map(|(location, _)| (model.clone(), location.clone())));
            let beside = ["config.json", "tokenizer.json"].map(|name| (name, weights.directory().join(name)));
            let beside = beside.into_iter().filter(|(_, file)| file.exists() && !file.is_directory());
            files.extend(beside.map(|(name, file)| (format!("{model}'s {name}"), file)));
        }
        files
    }
}

impl<B: Device + 'static> Loaded<B> {
    /// Reads the models onto their devices, and takes the memory of their batches, which have at most as many tokens as
    /// those of the run that this one goes on from had, for each model that takes part.
    pub(super) fn load(
        opened: Opened,
        devices: [Vec<Arc<B>>; 2],
        options: &PredictOptions,
        frames: &FrameOptions,
        earlier_budgets: &[usize],
    ) -> Result<Self, Error> {
        let mut earlier_budgets = earlier_budgets.iter().copied();
        let mut towers = [None, None];
        for (tower, backends) in devices.into_iter().enumerate().filter(|(tower, _)| opened.needed[*tower]) {
            let (max_length, long_records) = (frames.longest()[tower], LongRecords::Error);
            let lengths = LengthPolicy { max_length, min_length: 1, long_records };
            let earlier_budget = earlier_budgets.next();
            let asked = earlier_budget.or(options.token_budget);
            let devices = LoadedModel::load_on_all(backends, &opened.weights[tower], &lengths, false, asked)?;
            towers[tower] = Some(LoadedTower { devices, lengths, earlier_budget });
        }
        Ok(Loaded(towers))
    }

    /// The devices, for people.
    pub(super) fn device_names(&self) -> Vec<String> {
        let tower = self.0.iter().flatten().next_back();
        tower
            .map(|tower| tower.devices.iter().map(|device| device.backend.name()).collect())
            .unwrap_or_default()
    }

    /// Most tokens in a batch of each model that takes part.
    pub(super) fn token_budgets(&self) -> Vec<ModelBudget> {
        let towers = self.0.iter().zip(MODELS).filter_map(|(tower, model)| Some((tower.as_ref()?, model)));
        towers
            .map(|(tower, model)| ModelBudget { model: Some(model), tokens: tower.token_budget() })
            .collect()
    }

    /// How the sequences of each are tokenized and packed.
    pub(super) fn packing(&self, options: &PredictOptions) -> Result<[Option<EncoderInput>; 2], Error> {
        let mut packing = [None, None];
        for (packing, tower) in packing.iter_mut().zip(&self.0) {
            *packing = tower.as_ref().map(|tower| tower.packing(options.buffer_size)).transpose()?;
        }
        Ok(packing)
    }

    /// Starts running what `frames` has for them.
    pub(super) fn start(
        &self,
        frames: &FrameLoader,
        options: &PredictOptions,
        cancel: &CancelToken,
    ) -> Result<[Option<RunningTower>; 2], Error> {
        let mut running = [None, None];
        for (i, tower) in self.0.iter().enumerate() {
            running[i] = tower.as_ref().map(|tower| tower.start(frames, i, options, cancel)).transpose()?;
        }
        Ok(running)
    }
}

impl<B: Device + 'static> LoadedTower<B> {
    /// All devices get batches of the smallest one's budget.
    fn token_budget(&self) -> usize {
        let budgets = self.devices.iter().map(|device| device.token_budget);
        self.earlier_budget.or(budgets.min()).expect("a model has a device")
    }

    /// How its sequences are tokenized and packed.
    fn packing(&self, asked: Option<usize>) -> Result<EncoderInput, Error> {
        let packer = GreedyPacker::new(PackerOptions::new(self.token_budget(), self.lengths.max_tokens()))?;
        let buffer_size = asked.unwrap_or_else(|| buffer_size(self.token_budget()));
        let options = CollatorOptions::default().buffer_size(buffer_size);
        let collator = VarlenCollator::new(packer, options)?;
        Ok(EncoderInput { tokenizer: Arc::clone(&self.devices[0].model.tokenizer), collator })
    }

    /// Starts running what `frames` has for it.
    fn start(
        &self,
        frames: &FrameLoader,
        tower: usize,
        options: &PredictOptions,
        cancel: &CancelToken,
    ) -> Result<RunningTower, Error> {
        let loader = frames.batches(tower).expect("a model that takes part has its batches").clone();
        let token_budget = self.token_budget();
        let names = self.devices.iter().map(|device| device.backend.name()).collect();
        let config = &self.devices[0].model.config;
        let (layer, width) = (config.layers(), config.hidden());
        let cost = (layer * width * (4 * width + 3 * config.intermediate())) as f64;
        let (device_timeout, cancel) = (options.device_timeout, cancel.clone());
        let options = RunnerOptions { device_timeout, cancel, ..RunnerOptions::mean(layer) };
        let on = |device: &LoadedModel<B>| (Arc::clone(&device.backend), Arc::clone(&device.model.encoder));
        let runner = AsyncInferenceRunner::new(self.devices.iter().map(on).collect(), loader, options)?;
        Ok(RunningTower { runner, width, cost, token_budget, names })
    }
}
