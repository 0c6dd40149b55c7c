//! A model that is loaded once, with what its files are.

use std::sync::Arc;
use virpack_device::{Device, Work};

use virpack_model::hub::load_again;
use virpack_model::weights::Weights;
use virpack_model::{ChecksumThread, FileChecksum, Location, ModelConfig, sha256_of_all};
use virpack_seq::LengthPolicy;

use super::EmbedderOptions;
use crate::Error;
use crate::event::Event;
use crate::loaded_model::LoadedModel;
use crate::options::{Downloads, FoundModel, TokenBudget};

/// A model whose files are open and looked at, and whose weights are not read yet.
pub(crate) struct OpenedModel {
    name: String,
    weights: Weights,
    pub(crate) config: ModelConfig,
    pub(crate) lengths: LengthPolicy,
}

/// A model on its devices. Once it is loaded, no file of it is needed.
pub(crate) struct WarmModel<B: Device> {
    /// What it is called.
    pub(crate) name: String,
    pub(crate) config: ModelConfig,
    pub(crate) lengths: LengthPolicy,
    pub(crate) checksums: ModelChecksums,
    /// At least one.
    pub(crate) devices: Vec<LoadedModel<B>>,
}

/// Checksums of a model's files.
#[derive(Clone)]
pub(crate) struct ModelChecksums {
    /// Of its weights.
    pub(crate) weights: Vec<FileChecksum>,
    /// Of the files that are read beside them.
    pub(crate) beside: Vec<FileChecksum>,
}

/// Checksums that take a while.
pub(crate) struct PendingChecksums {
    thread: ChecksumThread,
    /// How many of the files are weights.
    weights: usize,
}

impl OpenedModel {
    /// Opens a model, reports what is to be said of its weights, and does `work` with it, which reads it:
    /// once more where damaged files are downloaded again.
    pub(crate) fn with<T>(
        found: &FoundModel,
        options: &EmbedderOptions,
        on_event: &mut impl FnMut(Event),
        mut work: impl FnMut(OpenedModel) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut is_told = false;
        let refetch = options.downloads.as_ref().map(Downloads::refetch);
        load_again(refetch.as_ref(), &[&found.location], || {
            let weights = Weights::at(&found.location)?;
            let config = ModelConfig::of(&weights)?;
            if !std::mem::replace(&mut is_told, true) {
                weights.notes().into_iter().map(Event::Weights).for_each(&mut *on_event);
            }
            let lengths = options.lengths.up_to(config.max_length());
            options.check_lengths(&lengths)?;
            options.layer_of(&config)?;
            work(OpenedModel { name: found.name.clone(), weights, config, lengths })
        })
    }

    /// All of its files.
    pub(crate) fn files(&self) -> Vec<Location> {
        self.weights.files().map(|(file, _)| file.clone()).chain(self.weights.beside()).collect()
    }

    /// Begins to hash its files.
    pub(crate) fn hash(&self) -> Result<PendingChecksums, Error> {
        let thread = ChecksumThread::of_model(self.files())?;
        Ok(PendingChecksums { thread, weights: self.weights.files().count() })
    }

    /// Reads the weights onto devices, at least one, while they are hashed.
    pub(crate) fn load<B: Device + 'static>(
        self,
        backends: &[Arc<B>],
        all_rows: bool,
        token_budget: TokenBudget,
        checksums: PendingChecksums,
    ) -> Result<WarmModel<B>, Error> {
        let OpenedModel { name, weights, config, lengths } = self;
        let devices = LoadedModel::load_on_all(backends.to_vec(), &weights, lengths, all_rows, token_budget)?;
        Ok(WarmModel { name, config, lengths, checksums: checksums.finish()?, devices })
    }
}

impl PendingChecksums {
    /// Waits for them.
    pub(crate) fn finish(self) -> Result<ModelChecksums, Error> {
        let mut weights = self.thread.finish()?;
        let beside = weights.split_off(self.weights);
        Ok(ModelChecksums { weights, beside })
    }
}

impl ModelChecksums {
    /// One for all weights.
    pub(crate) fn sha256(&self) -> String {
        sha256_of_all(&self.weights)
    }
}

impl<B: Device + 'static> WarmModel<B> {
    /// Loads a model on devices, at least one.
    pub(crate) fn load(
        backends: &[Arc<B>],
        found: &FoundModel,
        options: &EmbedderOptions,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Self, Error> {
        OpenedModel::with(found, options, on_event, |opened| {
            let checksums = opened.hash()?;
            opened.load(backends, options.pool.is_none(), options.token_budget, checksums)
        })
    }

    /// Most tokens in a batch, on any of its devices.
    pub(crate) fn token_budget(&self) -> usize {
        LoadedModel::smallest_budget(&self.devices)
    }

    /// Its files, weights first.
    pub(crate) fn files(&self) -> Vec<Location> {
        let ModelChecksums { weights, beside } = &self.checksums;
        weights.iter().chain(beside).map(|file| file.location.clone()).collect()
    }

    /// What each device's bits depend on.
    pub(crate) fn computed_by(&self) -> Vec<Vec<String>> {
        self.devices.iter().map(|device| device.backend.computed_by()).collect()
    }

    /// What each device's time went to, where it keeps account.
    pub(crate) fn work(&self) -> Vec<Option<Work>> {
        self.devices.iter().map(|device| device.backend.work()).collect()
    }
}
