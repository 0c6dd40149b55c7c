//! What a run reports while it goes on.

use std::num::NonZeroUsize;

use crate::devices::LeftOutCard;
use crate::progress::Progress;
use crate::resume::ResumeSummary;
use crate::runner::DeviceEvent;
use virpack_device::Dtype;

/// What a run of [`embed`](crate::embed::embed) or [`predict`](crate::predict::predict) reports while it goes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Which built-in model reads the inputs, where the run is left to choose it; before it is loaded.
    BuiltInModel {
        /// The model's name.
        model: &'static str,
    },
    /// A card that is not taken where the run is left to choose the device; before anything is loaded.
    LeftOut(LeftOutCard),
    /// A sentence about a model's weights; before they are loaded.
    Weights(String),
    /// The length of the chunks that `predict` cuts; before anything is read.
    ChunkLength {
        /// Bases of a chunk.
        length: NonZeroUsize,
        /// What was asked for.
        asked: Option<NonZeroUsize>,
        /// What the classifier was trained on, where it says so.
        trained: Option<NonZeroUsize>,
    },
    /// A device is ready, or all devices of `predict` are; before the first batch.
    Ready {
        /// The device, for people, and the precision that would be faster on this machine.
        device: String,
        /// The token budget of each model that takes part.
        budgets: Vec<ModelBudget>,
    },
    /// From here on what is finished is kept, and the run can be interrupted without losing it.
    Kept(ResumeSummary),
    /// A device ran out of memory, or was given up.
    Device(DeviceEvent),
    /// How far the run is.
    Progress(Progress),
}

/// The most tokens in a batch of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelBudget {
    /// The model, where a run has two: `nucleotide` or `protein`.
    pub model: Option<&'static str>,
    /// Tokens.
    pub tokens: usize,
}

impl Event {
    /// A device is ready.
    pub(crate) fn ready(name: String, faster: Option<Dtype>, budgets: Vec<ModelBudget>) -> Event {
        let faster = faster.map_or_else(String::new, |dtype| format!(" ({dtype} is faster here)"));
        Event::Ready { device: name + &faster, budgets }
    }
}

impl From<DeviceEvent> for Event {
    fn from(event: DeviceEvent) -> Event {
        Event::Device(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_precision_is_named_beside_the_device() {
        let device = |faster| match Event::ready("CPU, 2 threads".to_owned(), faster, Vec::new()) {
            Event::Ready { device, .. } => device,
            other => panic!("{other:?}"),
        };
        assert_eq!(device(None), "CPU, 2 threads");
        assert_eq!(device(Some(Dtype::Bf16)), "CPU, 2 threads (bfloat16 is faster here)");
    }
}
