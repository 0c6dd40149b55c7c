//! What a run reports while it is in progress.

use std::num::NonZeroUsize;

use crate::devices::LeftOutCard;
use crate::progress::Progress;
use crate::resume::ResumeSummary;
use crate::runner::DeviceEvent;
use virpack_device::Dtype;

/// What a run of [`embed`](crate::embed::embed) or [`predict`](crate::predict::predict) reports while it is
/// in progress.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The built-in model that reads the inputs, if the run chooses it; before it is loaded.
    BuiltInModel {
        /// The model's name.
        model: &'static str,
    },
    /// A card that the run does not use when it chooses the device itself; before anything is loaded.
    LeftOut(LeftOutCard),
    /// A sentence about a model's weights; before they are loaded.
    Weights(String),
    /// The length of the chunks that `predict` cuts; before anything is read.
    ChunkLength {
        /// Bases of a chunk.
        length: NonZeroUsize,
        /// The requested length.
        asked: Option<NonZeroUsize>,
        /// The chunk length on which the classifier was trained, if it is known.
        trained: Option<NonZeroUsize>,
    },
    /// A device is ready, or all devices of `predict` are; before the first batch.
    Ready {
        /// The device, for people, and the precision that would be faster on this machine.
        device: String,
        /// The token budget of each model of the run.
        budgets: Vec<ModelBudget>,
    },
    /// Finished work is kept from here on, and the run can be interrupted without losing it.
    Kept(ResumeSummary),
    /// A device ran out of memory, or the run gave it up.
    Device(DeviceEvent),
    /// The progress of the run.
    Progress(Progress),
}

/// The most tokens in a batch of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelBudget {
    /// The model, if a run has two: `nucleotide` or `protein`.
    pub model: Option<&'static str>,
    /// The budget in tokens.
    pub tokens: usize,
}

impl Event {
    /// Returns the event that a device is ready.
    pub(crate) fn ready(name: String, faster: Option<Dtype>, budgets: Vec<ModelBudget>) -> Event {
        let faster = faster.map_or_else(String::new, |dtype| format!(" (faster in {dtype})"));
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
        assert_eq!(device(Some(Dtype::Bf16)), "CPU, 2 threads (faster in bfloat16)");
    }
}
