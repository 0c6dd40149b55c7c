//! One of the two models at work.

use std::time::Duration;

use crate::progress::ModelProgress;
use crate::runner::{AsyncInferenceRunner, DeviceTally};
use virpack_device::Work;

/// A model that runs batches of frames.
pub(super) struct EncoderRunner {
    /// Which of the two it is.
    pub(super) name: &'static str,
    pub(super) runner: AsyncInferenceRunner,
    /// Whether all its results have come.
    pub(super) is_over: bool,
    /// Width of its embeddings.
    pub(super) width: usize,
    /// Work of a token, beside one of the other model.
    pub(super) cost: f64,
    /// Most tokens in a batch.
    pub(super) token_budget: usize,
    /// Its devices, for people.
    pub(super) device_names: Vec<String>,
}

/// What a device has done for one of the models.
#[derive(Clone, Debug)]
pub(super) struct DeviceWork {
    /// The model.
    pub(super) model: &'static str,
    /// The device, for people.
    pub(super) name: String,
    /// Most tokens in a batch.
    pub(super) token_budget: usize,
    /// What it has done.
    pub(super) tally: DeviceTally,
    /// What its bits depend on beside records, weights and precision, a line each.
    pub(super) computed_by: Vec<String>,
    /// What its time went to, for both models where it runs both.
    pub(super) work: Option<Work>,
}

impl EncoderRunner {
    /// How far it is with as many tokens as have been read for it.
    pub(super) fn progress(&self, tokens: u64) -> ModelProgress {
        ModelProgress {
            model: Some(self.name),
            tokens,
            cost: self.cost,
            token_budget: self.token_budget,
            tallies: self.runner.tallies(),
        }
    }

    /// Time that its devices computed, the mean over the devices.
    pub(super) fn busy(&self) -> Duration {
        let tallies = self.runner.tallies();
        tallies.iter().map(|tally| tally.busy).sum::<Duration>() / tallies.len().max(1) as u32
    }

    /// What each of its devices has done.
    pub(super) fn devices(&self) -> impl Iterator<Item = DeviceWork> {
        let &EncoderRunner { name: model, token_budget, .. } = self;
        let accounts = self.runner.computed_by().into_iter().zip(self.runner.work());
        let done = self.runner.tallies().into_iter().zip(accounts);
        self.device_names.iter().cloned().zip(done).map(move |(name, (tally, (computed_by, work)))| {
            DeviceWork { model, name, token_budget, tally, computed_by, work }
        })
    }
}
