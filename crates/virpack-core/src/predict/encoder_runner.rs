//! The runner of one of the two models.

use std::time::Duration;

use crate::progress::ModelProgress;
use crate::runner::{AsyncInferenceRunner, DeviceTally};
use virpack_device::Work;

/// One of the two models, running batches of frames.
pub(super) struct EncoderRunner {
    /// The model's name, `nucleotide` or `protein`.
    pub(super) name: &'static str,
    pub(super) runner: AsyncInferenceRunner,
    /// Whether all its results have been received.
    pub(super) is_over: bool,
    /// Width of its embeddings, in values.
    pub(super) width: usize,
    /// Work per token, relative to the other model.
    pub(super) cost: f64,
    /// Most tokens in a batch.
    pub(super) token_budget: usize,
    /// Its devices, as shown to people.
    pub(super) device_names: Vec<String>,
}

/// What a device has done for one of the models.
#[derive(Clone, Debug)]
pub(super) struct DeviceWork {
    /// The model.
    pub(super) model: &'static str,
    /// The device, as shown to people.
    pub(super) name: String,
    /// Most tokens in a batch.
    pub(super) token_budget: usize,
    /// The batches that it has run.
    pub(super) tally: DeviceTally,
    /// What its bits depend on apart from records, weights and precision, one line each.
    pub(super) computed_by: Vec<String>,
    /// What its time was spent on; for both models if it runs both.
    pub(super) work: Option<Work>,
}

impl EncoderRunner {
    /// Returns its progress, given the tokens that have been read for it so far.
    pub(super) fn progress(&self, tokens: u64) -> ModelProgress {
        ModelProgress {
            model: Some(self.name),
            tokens,
            cost: self.cost,
            token_budget: self.token_budget,
            tallies: self.runner.tallies(),
        }
    }

    /// Returns the time that its devices computed, as the mean over the devices.
    pub(super) fn busy(&self) -> Duration {
        let tallies = self.runner.tallies();
        tallies.iter().map(|tally| tally.busy).sum::<Duration>() / tallies.len().max(1) as u32
    }

    /// Returns the work of each of its devices.
    pub(super) fn devices(&self) -> impl Iterator<Item = DeviceWork> {
        let &EncoderRunner { name: model, token_budget, .. } = self;
        let accounts = self.runner.computed_by().into_iter().zip(self.runner.work());
        let done = self.runner.tallies().into_iter().zip(accounts);
        self.device_names.iter().cloned().zip(done).map(move |(name, (tally, (computed_by, work)))| {
            DeviceWork { model, name, token_budget, tally, computed_by, work }
        })
    }
}
