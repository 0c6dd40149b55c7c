//! A run's model: loaded, and what its files and the run are.

use std::sync::Arc;
use virpack_device::Device;

use virpack_model::hub::load_again;
use virpack_model::weights::Weights;
use virpack_model::{ChecksumThread, FileChecksum, ModelConfig, sha256_of_all};
use virpack_seq::LengthPolicy;

use super::{EmbedOptions, identity};
use crate::Error;
use crate::event::Event;
use crate::identity::PendingIdentity;
use crate::loaded_model::LoadedModel;
use crate::options::{Downloads, FoundModel, TokenBudget};
use crate::resume::Session;

/// A run's model on its devices.
pub(super) struct EmbedModel<B: Device> {
    /// What it is called.
    pub(super) name: String,
    pub(super) config: ModelConfig,
    pub(super) lengths: LengthPolicy,
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
        model: FoundModel,
        options: &EmbedOptions,
        session: &Session,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Self, Error> {
        let mut is_told = false;
        let refetch = options.downloads.as_ref().map(Downloads::refetch);
        load_again(refetch.as_ref(), &[&model.location], || {
            let weights = Weights::at(&model.location)?;
            let config = ModelConfig::of(&weights)?;
            if !std::mem::replace(&mut is_told, true) {
                weights.notes().into_iter().map(Event::Weights).for_each(&mut *on_event);
            }
            Self::load_once(&model.name, &weights, config, backends, options, session)
        })
    }

    fn load_once(
        name: &str,
        weights: &Weights,
        config: ModelConfig,
        backends: &[Arc<B>],
        options: &EmbedOptions,
        session: &Session,
    ) -> Result<Self, Error> {
        let lengths = options.lengths.up_to(config.max_length());
        options.check_lengths(&lengths)?;
        options.layer_of(&config)?;
        options.check_apart(weights)?;
        let hashing = ChecksumThread::start(weights.files().map(|(file, _)| file.clone()).collect())?;
        let dtype = backends.first().expect("there is a device").dtype();
        let of_rows = |checksums: &[FileChecksum], files| {
            identity::of_rows(options, &config, lengths, &sha256_of_all(checksums), dtype, files)
        };
        if let Some(complete) = session.complete_run() {
            let rows = of_rows(&hashing.finish()?, options.hash_files(weights)?)?()?;
            return Err(complete.end(&options.of_output(rows), |_| false).into());
        }
        let is_named = session.is_kept() || options.shard.is_some();
        let files = is_named.then(|| options.hash_files(weights)).transpose()?;
        let earlier = session.token_budgets().first().copied();
        let asked = earlier.map_or(options.token_budget, TokenBudget::Tokens);
        let devices =
            LoadedModel::load_on_all(backends.to_vec(), weights, lengths, options.pool.is_none(), asked)?;
        let token_budget = earlier.unwrap_or_else(|| LoadedModel::smallest_budget(&devices));
        let checksums = hashing.finish()?;
        let identity = files.map(|files| of_rows(&checksums, files)).transpose()?;
        Ok(EmbedModel { name: name.to_owned(), config, lengths, checksums, identity, devices, token_budget })
    }

    /// What each device's bits depend on.
    pub(super) fn computed_by(&self) -> Vec<Vec<String>> {
        self.devices.iter().map(|device| device.backend.computed_by()).collect()
    }
}
