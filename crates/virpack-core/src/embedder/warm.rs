//! A loaded model, with the checksums of its files.

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

/// A model whose files are open and checked, and whose weights are not read yet.
pub(crate) struct OpenedModel {
    name: String,
    weights: Weights,
    pub(crate) config: ModelConfig,
    pub(crate) lengths: LengthPolicy,
}

/// A model on its devices. Its files are not needed any more.
pub(crate) struct WarmModel<B: Device> {
    /// Its name.
    pub(crate) name: String,
    pub(crate) config: ModelConfig,
    pub(crate) lengths: LengthPolicy,
    pub(crate) checksums: ModelChecksums,
    /// The devices, at least one.
    pub(crate) devices: Vec<LoadedModel<B>>,
}

/// Checksums of a model's files.
#[derive(Clone)]
pub(crate) struct ModelChecksums {
    /// Those of its weights.
    pub(crate) weights: Vec<FileChecksum>,
    /// Those of the other files that are read.
    pub(crate) beside: Vec<FileChecksum>,
}

/// Checksums that are being computed.
pub(crate) struct PendingChecksums {
    thread: ChecksumThread,
    /// The number of files that are weights.
    weights: usize,
}

impl OpenedModel {
    /// Opens a model, reports what the user should know about its weights, and passes it to `work`, which
    /// reads it. It runs `work` a second time if damaged files are downloaded again.
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

    /// Returns all of its files.
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
    /// Waits for the checksums.
    pub(crate) fn finish(self) -> Result<ModelChecksums, Error> {
        let mut weights = self.thread.finish()?;
        let beside = weights.split_off(self.weights);
        Ok(ModelChecksums { weights, beside })
    }
}

impl ModelChecksums {
    /// Returns one hash for all weights.
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

    /// Returns the most tokens in a batch, on any of its devices.
    pub(crate) fn token_budget(&self) -> usize {
        LoadedModel::smallest_budget(&self.devices)
    }

    /// Returns its files, weights first.
    pub(crate) fn files(&self) -> Vec<Location> {
        let ModelChecksums { weights, beside } = &self.checksums;
        weights.iter().chain(beside).map(|file| file.location.clone()).collect()
    }

    /// Returns what the bits of each device depend on.
    pub(crate) fn computed_by(&self) -> Vec<Vec<String>> {
        self.devices.iter().map(|device| device.backend.computed_by()).collect()
    }

    /// Returns how each device spent its time, if it measures that.
    pub(crate) fn work(&self) -> Vec<Option<Work>> {
        self.devices.iter().map(|device| device.backend.work()).collect()
    }
}
