//! A model's way onto its devices, and what its files are.

use std::sync::Arc;

use virpack_device::{Device, Dtype};

use super::identity::Known;
use super::{EmbedOptions, Told};
use crate::Error;
use crate::checkpoint::Found;
use crate::model::ModelConfig;
use crate::model::checksum::{FileChecksum, Summing, sum_of_all};
use crate::model::hub::load_again;
use crate::model::weights::Weights;
use crate::ready::{self, Ready};

/// A model on its devices.
pub(super) struct Loaded<B: Device> {
    pub(super) config: ModelConfig,
    /// Of its weights.
    pub(super) sums: Vec<FileChecksum>,
    /// Of the inputs and of its other files, if the run has a name for others to compare.
    pub(super) files: Option<Summing>,
    pub(super) devices: Vec<Ready<B>>,
    pub(super) dtype: Dtype,
}

impl<B: Device + 'static> Loaded<B> {
    /// Loads the model of a run that has `found` an earlier one. Of a complete one this is an error that says it.
    pub(super) fn load(
        backends: &[Arc<B>],
        options: &EmbedOptions,
        found: Option<&Found>,
        tell: &mut impl FnMut(Told),
    ) -> Result<Self, Error> {
        let mut is_told = false;
        load_again(options.refetch.as_ref(), &[&options.model], || {
            let weights = Weights::at(&options.model)?;
            let config = ModelConfig::of(&weights)?;
            if !std::mem::replace(&mut is_told, true) {
                weights.notes().into_iter().map(Told::Weights).for_each(&mut *tell);
            }
            Self::load_once(&weights, config, backends, options, found)
        })
    }

    fn load_once(
        weights: &Weights,
        config: ModelConfig,
        backends: &[Arc<B>],
        options: &EmbedOptions,
        found: Option<&Found>,
    ) -> Result<Self, Error> {
        options.layer(&config)?;
        options.check_apart(weights)?;
        let sums = Summing::start(weights.files().map(|(file, _)| file.clone()).collect())?;
        let dtype = backends.first().expect("there is a device").dtype();
        if let Some(complete) = found.and_then(Found::complete) {
            let known = Known { options, config: &config, sha256: sum_of_all(&sums.finish()?), dtype };
            let rows = known.identity(options.sum_files(weights)?)?()?;
            return Err(complete.end(&options.of_output(rows)).into());
        }
        let is_named = found.is_some() || options.shard.is_some();
        let files = is_named.then(|| options.sum_files(weights)).transpose()?;
        let token_budget = earlier_budget(found).or(options.token_budget);
        let devices =
            ready::all(backends.to_vec(), weights, &options.lengths, options.pool.is_none(), token_budget)?;
        Ok(Loaded { config, sums: sums.finish()?, files, devices, dtype })
    }
}

/// Most tokens in a batch of an earlier run.
pub(super) fn earlier_budget(found: Option<&Found>) -> Option<usize> {
    found.and_then(Found::token_budgets).and_then(|budgets| budgets.first().copied())
}
