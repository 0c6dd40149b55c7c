//! A model loaded on one or more devices.

use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use virpack_device::Device;
use virpack_model::weights::Weights;
use virpack_model::{Model, ModelConfig};
use virpack_seq::{LengthPolicy, ThreadError};

use crate::Error;
use crate::event::{Event, ModelBudget};
use crate::memory;
use crate::options::TokenBudget;
use crate::runner::DeviceEvent;

/// What threads that load are called in errors.
const LOADING: &str = "loading";

/// A model loaded on a device, with memory reserved for its batches.
pub(crate) struct LoadedModel<B: Device> {
    pub(crate) backend: Arc<B>,
    pub(crate) model: Model<B>,
    pub(crate) lengths: LengthPolicy,
    /// Most tokens in a batch.
    pub(crate) token_budget: usize,
    /// The budget that was asked for, or that should have fitted.
    asked: usize,
}

impl<B: Device + 'static> LoadedModel<B> {
    /// Loads a model on every device, on all at a time; the weights are mapped and read once. With `all_rows` every token's
    /// row comes back.
    pub(crate) fn load_on_all(
        backends: Vec<Arc<B>>,
        weights: &Weights,
        lengths: LengthPolicy,
        all_rows: bool,
        token_budget: TokenBudget,
    ) -> Result<Vec<Self>, Error> {
        std::thread::scope(|scope| {
            let load = |backend| {
                let load = move || Self::load(backend, weights, lengths, all_rows, token_budget);
                let thread = std::thread::Builder::new().spawn_scoped(scope, load);
                thread.map_err(|source| ThreadError::NotStarted { thread: LOADING, source })
            };
            let threads: Vec<_> = backends.into_iter().map(load).collect::<Result<_, _>>()?;
            let join = |thread: ScopedJoinHandle<'_, Result<Self, Error>>| {
                thread.join().map_err(|panic| ThreadError::panicked(LOADING, &*panic))?
            };
            threads.into_iter().map(join).collect()
        })
    }

    fn load(
        backend: Arc<B>,
        weights: &Weights,
        lengths: LengthPolicy,
        all_rows: bool,
        token_budget: TokenBudget,
    ) -> Result<Self, Error> {
        let shape = ModelConfig::of(weights)?.shape_in(weights);
        let asked = memory::token_budget(&*backend, &shape, &lengths, all_rows, token_budget)?;
        let model = Model::load(&*backend, weights)?;
        let token_budget = memory::reserve(&*backend, &shape, &lengths, all_rows, asked)?;
        Ok(LoadedModel { backend, model, lengths, token_budget, asked })
    }
}

impl<B: Device> LoadedModel<B> {
    /// Returns what a user should know of the device before the first batch.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        let token_budget = self.token_budget;
        let reason = format!("no room for batches of {} tokens", self.asked);
        let halved = DeviceEvent::Halved { token_budget, reason, hint: None };
        let halved = (token_budget < self.asked).then_some(halved);
        let budgets = vec![ModelBudget { model: None, tokens: token_budget }];
        let ready = Event::ready(self.backend.name(), self.backend.faster_dtype(), budgets);
        [ready].into_iter().chain(halved.map(Event::Device))
    }

    /// Returns the smallest token budget: all devices get batches of it.
    pub(crate) fn smallest_budget(devices: &[Self]) -> usize {
        devices.iter().map(|device| device.token_budget).min().unwrap_or(0)
    }
}
