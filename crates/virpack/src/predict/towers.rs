//! The two models: opened, checked against the classifier, put on their devices, started.

use std::path::PathBuf;
use std::sync::Arc;

use virpack_device::Pool;
use virpack_seq::frames::{FrameLoader, FrameOptions, NUCLEOTIDES, PEPTIDES, Tower};
use virpack_seq::{CollatorOptions, GreedyPacker, LengthPolicy, LongRecords, PackerOptions, VarlenCollator};

use super::PredictOptions;
use super::join::RunningTower;
use crate::Error;
use crate::classifier::{Classifier, Towers};
use crate::embed::buffer_size;
use crate::memory::{self, Memory};
use crate::model::weights::Weights;
use crate::model::{Model, ModelConfig};
use crate::runner::{AsyncInferenceRunner, RunnerOptions};

/// The two models' files, looked at and not yet read.
pub(super) struct Opened {
    weights: [Weights; 2],
    /// Which of them take part.
    needed: [bool; 2],
}

/// The models that take part, on their devices.
pub(super) struct Loaded<B: Memory>([Option<LoadedTower<B>>; 2]);

/// A model on its device.
struct LoadedTower<B: Memory> {
    backend: Arc<B>,
    model: Model<B>,
    lengths: LengthPolicy,
    token_budget: usize,
}

impl Opened {
    /// Opens both models and checks that the classifier takes what they give.
    pub(super) fn open(options: &PredictOptions, classifier: &Classifier) -> Result<Self, Error> {
        let weights = [Weights::open(&options.nucleotide_model)?, Weights::open(&options.protein_model)?];
        let configs = [ModelConfig::of(&weights[0])?, ModelConfig::of(&weights[1])?];
        for (config, (tower, wanted)) in configs.iter().zip([(0, "DNABERT-S"), (1, "ESM-2")]) {
            if config.family() != wanted {
                return Err(Error::WrongModel {
                    path: weights[tower].path().to_owned(),
                    option: ["--nucleotide-model", "--protein-model"][tower],
                    given: config.family(),
                    wanted,
                });
            }
        }
        let needed = match classifier.check_widths(configs[0].hidden(), configs[1].hidden())? {
            Towers::Both => [true, true],
            Towers::Nucleotide => [true, false],
            Towers::Peptide => [false, true],
        };
        Ok(Opened { weights, needed })
    }

    /// All files of the models that take part, and the classifier's.
    pub(super) fn files(&self, classifier: &Classifier) -> Vec<PathBuf> {
        let mut files = vec![classifier.path().to_owned()];
        for (weights, _) in self.weights.iter().zip(self.needed).filter(|(_, needed)| *needed) {
            files.extend(weights.files().map(|(path, _)| path.to_owned()));
            let beside = ["config.json", "tokenizer.json"].map(|name| weights.directory().join(name));
            files.extend(beside.into_iter().filter(|path| path.is_file()));
        }
        files
    }
}

impl<B: Memory + 'static> Loaded<B> {
    /// Reads the models onto their devices, and takes the memory of their batches.
    pub(super) fn load(
        opened: Opened,
        devices: &[Arc<B>; 2],
        options: &PredictOptions,
        frames: &FrameOptions,
    ) -> Result<Self, Error> {
        let mut towers = [None, None];
        for tower in [NUCLEOTIDES, PEPTIDES].into_iter().filter(|&tower| opened.needed[tower]) {
            let (max_length, long_records) = (frames.longest()[tower], LongRecords::Error);
            let lengths = LengthPolicy { max_length, min_length: 1, long_records };
            let (backend, weights) = (Arc::clone(&devices[tower]), &opened.weights[tower]);
            towers[tower] = Some(LoadedTower::load(backend, weights, lengths, options.token_budget)?);
        }
        Ok(Loaded(towers))
    }

    /// Most tokens in a batch of each model.
    pub(super) fn token_budgets(&self) -> [Option<usize>; 2] {
        [0, 1].map(|i| self.0[i].as_ref().map(|tower| tower.token_budget))
    }

    /// How the sequences of each are tokenized and packed.
    pub(super) fn packing(&self, options: &PredictOptions) -> Result<[Option<Tower>; 2], Error> {
        let mut packing = [None, None];
        for (packing, tower) in packing.iter_mut().zip(&self.0) {
            *packing = tower.as_ref().map(|tower| tower.packing(options.buffer_size)).transpose()?;
        }
        Ok(packing)
    }

    /// Starts running what `frames` has for them.
    pub(super) fn start(self, frames: &FrameLoader) -> Result<[Option<RunningTower>; 2], Error> {
        let mut running = [None, None];
        for (i, tower) in self.0.into_iter().enumerate() {
            running[i] = tower.map(|tower| tower.start(frames, i)).transpose()?;
        }
        Ok(running)
    }
}

impl<B: Memory + 'static> LoadedTower<B> {
    fn load(
        backend: Arc<B>,
        weights: &Weights,
        lengths: LengthPolicy,
        asked: Option<usize>,
    ) -> Result<Self, Error> {
        let shape = ModelConfig::of(weights)?.shape();
        let asked = memory::token_budget(&*backend, &shape, &lengths, asked)?;
        let model = Model::load(&*backend, weights)?;
        let token_budget = memory::reserve(&*backend, &shape, &lengths, asked)?;
        Ok(LoadedTower { backend, model, lengths, token_budget })
    }

    /// How its sequences are tokenized and packed.
    fn packing(&self, asked: Option<usize>) -> Result<Tower, Error> {
        let packer = GreedyPacker::new(PackerOptions::new(self.token_budget, self.lengths.max_tokens()))?;
        let buffer_size = asked.unwrap_or_else(|| buffer_size(self.token_budget));
        let options = CollatorOptions { buffer_size, ..CollatorOptions::default() };
        let collator = VarlenCollator::new(packer, options)?;
        Ok(Tower { tokenizer: Arc::clone(&self.model.tokenizer), collator })
    }

    /// Starts running what `frames` has for it.
    fn start(self, frames: &FrameLoader, tower: usize) -> Result<RunningTower, Error> {
        let loader = frames.tower(tower).expect("a model that takes part has its batches").clone();
        let layer = self.model.encoder.layers();
        let options = RunnerOptions { pool: Pool::Mean, layer, window_overlap: 0 };
        let width = self.model.encoder.hidden_size();
        let runner = AsyncInferenceRunner::new(self.backend, self.model.encoder, loader, options)?;
        Ok(RunningTower { runner, width })
    }
}
