//! A run's model: loaded, and what its files and the run are.

use std::sync::Arc;
use virpack_device::Device;

use virpack_model::hub::load_again;
use virpack_model::weights::Weights;
use virpack_model::{ChecksumThread, FileChecksum, ModelConfig, sha256_of_all};
use virpack_seq::{AsyncDataLoader, IndexSet, LoaderOptions, LongRecords, Records};

use super::{EmbedOptions, identity};
use crate::Error;
use crate::cancel::CancelToken;
use crate::event::Event;
use crate::identity::PendingIdentity;
use crate::loaded_model::LoadedModel;
use crate::resume::Session;
use crate::runner::{AsyncInferenceRunner, RunnerOptions};

/// A run's model on its devices.
pub(super) struct EmbedModel<B: Device> {
    pub(super) config: ModelConfig,
    /// Of its weights.
    pub(super) checksums: Vec<FileChecksum>,
    /// All that shapes the rows, if the run has a name for others to compare.
    pub(super) identity: Option<PendingIdentity>,
    pub(super) devices: Vec<LoadedModel<B>>,
    /// Most tokens in a batch, on any of them.
    pub(super) token_budget: usize,
}

impl<B: Device + 'static> EmbedModel<B> {
    /// Loads the model of a run, and downloads damaged files of it again where that is wanted.
    ///
    /// # Errors
    ///
    /// What keeps the model from being loaded; that the output of the run is complete already.
    pub(super) fn load(
        backends: &[Arc<B>],
        options: &EmbedOptions,
        session: &Session,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Self, Error> {
        let mut is_told = false;
        load_again(options.refetch.as_ref(), &[&options.model], || {
            let weights = Weights::at(&options.model)?;
            let config = ModelConfig::of(&weights)?;
            if !std::mem::replace(&mut is_told, true) {
                weights.notes().into_iter().map(Event::Weights).for_each(&mut *on_event);
            }
            Self::load_once(&weights, config, backends, options, session)
        })
    }

    fn load_once(
        weights: &Weights,
        config: ModelConfig,
        backends: &[Arc<B>],
        options: &EmbedOptions,
        session: &Session,
    ) -> Result<Self, Error> {
        options.layer(&config)?;
        options.check_apart(weights)?;
        let hashing = ChecksumThread::start(weights.files().map(|(file, _)| file.clone()).collect())?;
        let dtype = backends.first().expect("there is a device").dtype();
        let of_rows = |checksums: &[FileChecksum], files| {
            identity::of_rows(options, &config, &sha256_of_all(checksums), dtype, files)
        };
        if let Some(complete) = session.complete_run() {
            let rows = of_rows(&hashing.finish()?, options.hash_files(weights)?)?()?;
            return Err(complete.end(&options.of_output(rows)).into());
        }
        let is_named = session.is_kept() || options.shard.is_some();
        let files = is_named.then(|| options.hash_files(weights)).transpose()?;
        let earlier = session.token_budgets().first().copied();
        let asked = earlier.or(options.token_budget);
        let devices = LoadedModel::load_on_all(
            backends.to_vec(),
            weights,
            &options.lengths,
            options.pool.is_none(),
            asked,
        )?;
        let token_budget = earlier.unwrap_or_else(|| LoadedModel::smallest_budget(&devices));
        let checksums = hashing.finish()?;
        let identity = files.map(|files| of_rows(&checksums, files)).transpose()?;
        Ok(EmbedModel { config, checksums, identity, devices, token_budget })
    }

    /// Starts to read, tokenize and pack `records`, of which those `finished` are not run.
    pub(super) fn loader(
        &self,
        options: &EmbedOptions,
        records: Records,
        finished: Arc<IndexSet>,
    ) -> Result<AsyncDataLoader, Error> {
        loader(options, &self.devices, self.token_budget, records, finished)
    }

    /// Starts to run what `loader` gives, and to pool it.
    pub(super) fn runner(
        &self,
        options: &EmbedOptions,
        loader: &AsyncDataLoader,
        finished: Arc<IndexSet>,
        cancel: &CancelToken,
    ) -> Result<AsyncInferenceRunner, Error> {
        runner(options, &self.devices, loader, finished, cancel)
    }

    /// What each device's bits depend on.
    pub(super) fn computed_by(&self) -> Vec<Vec<String>> {
        self.devices.iter().map(|device| device.backend.computed_by()).collect()
    }
}

/// Starts to read, tokenize and pack `records`, for a model on `devices`; those `finished` are not run.
pub(super) fn loader<B: Device>(
    options: &EmbedOptions,
    devices: &[LoadedModel<B>],
    token_budget: usize,
    records: Records,
    finished: Arc<IndexSet>,
) -> Result<AsyncDataLoader, Error> {
    let loading = LoaderOptions::default().lengths(options.lengths).done(finished);
    let tokenizer = Arc::clone(&devices[0].model.tokenizer);
    Ok(AsyncDataLoader::new(records, tokenizer, options.collator(token_budget)?, loading)?)
}

/// Starts to run what `loader` gives on `devices`, and to pool it.
pub(super) fn runner<B: Device + 'static>(
    options: &EmbedOptions,
    devices: &[LoadedModel<B>],
    loader: &AsyncDataLoader,
    finished: Arc<IndexSet>,
    cancel: &CancelToken,
) -> Result<AsyncInferenceRunner, Error> {
    let model = &devices[0].model;
    let window_overlap = match options.lengths.long_records {
        LongRecords::Window { overlap } if !model.tokenizer.merges_letters() => overlap,
        _ => 0,
    };
    let running = RunnerOptions {
        pool: options.pool,
        layer: options.layer(&model.config)?,
        window_overlap,
        device_timeout: options.device_timeout,
        done: finished,
        cancel: cancel.clone(),
    };
    let on = |device: &LoadedModel<B>| (Arc::clone(&device.backend), Arc::clone(&device.model.encoder));
    AsyncInferenceRunner::new(devices.iter().map(on).collect(), loader.clone(), running)
}
