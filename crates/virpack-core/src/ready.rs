//! Devices with a model's weights on them.

use std::sync::Arc;

use virpack_device::Device;
use virpack_seq::LengthPolicy;

use crate::Error;
use crate::event::Told;
use crate::memory;
use crate::model::weights::Weights;
use crate::model::{Model, ModelConfig};

/// A device with a model's weights, and memory for its batches.
pub(crate) struct Ready<B: Device> {
    pub(crate) backend: Arc<B>,
    pub(crate) model: Model<B>,
    /// Most tokens in a batch.
    pub(crate) token_budget: usize,
    /// The budget that was asked for, or that should have fitted.
    asked: usize,
}

/// Brings a model onto every device, all at a time; the weights are mapped and read once. With
/// `all_rows` every token's row comes back.
pub(crate) fn all<B: Device + 'static>(
    backends: Vec<Arc<B>>,
    weights: &Weights,
    lengths: &LengthPolicy,
    all_rows: bool,
    token_budget: Option<usize>,
) -> Result<Vec<Ready<B>>, Error> {
    std::thread::scope(|scope| {
        let load = |backend| {
            let load = move || one(backend, weights, lengths, all_rows, token_budget);
            let thread = std::thread::Builder::new().spawn_scoped(scope, load);
            thread.map_err(|source| Error::Thread { thread: "loading", source })
        };
        let threads: Vec<_> = backends.into_iter().map(load).collect::<Result<_, _>>()?;
        let panicked = |_| Err(Error::Panicked { thread: "loading" });
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    })
}

fn one<B: Device + 'static>(
    backend: Arc<B>,
    weights: &Weights,
    lengths: &LengthPolicy,
    all_rows: bool,
    token_budget: Option<usize>,
) -> Result<Ready<B>, Error> {
    let shape = ModelConfig::of(weights)?.shape();
    let asked = memory::token_budget(&*backend, &shape, lengths, all_rows, token_budget)?;
    let model = Model::load(&*backend, weights)?;
    let token_budget = memory::reserve(&*backend, &shape, lengths, all_rows, asked)?;
    Ok(Ready { backend, model, token_budget, asked })
}

impl<B: Device> Ready<B> {
    /// What a user should know of the device before the first batch.
    pub(crate) fn told(&self) -> impl Iterator<Item = Told> {
        let token_budget = self.token_budget;
        let reason = format!("no room for batches of {} tokens", self.asked);
        let halved = (token_budget < self.asked).then_some(Told::Halved { token_budget, reason });
        [Told::Device { name: self.backend.name(), token_budget }].into_iter().chain(halved)
    }
}
