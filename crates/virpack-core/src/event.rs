//! What `embed` tells while it goes on.

use crate::checkpoint::Resumed;
use crate::progress::Progress;

/// What a run tells while it goes on.
#[derive(Clone, Debug)]
pub enum Told {
    /// What a user should know of the model's weights, a sentence; before they are loaded.
    Weights(String),
    /// What runs the model, and the most tokens in a batch; before the first batch.
    Device {
        /// The device, for people.
        name: String,
        /// Most tokens in a batch.
        token_budget: usize,
    },
    /// The device had no room: batches have at most this many tokens from here on, and nothing is lost.
    Halved {
        /// Most tokens in a batch.
        token_budget: usize,
        /// What the device said.
        reason: String,
    },
    /// A device failed and gets nothing more; what it held is run by the others.
    Lost {
        /// Its place among the devices.
        device: usize,
        /// What went wrong.
        reason: String,
    },
    /// From here on what is finished is kept, and the run can be told to stop.
    Kept(Resumed),
    /// How far the run is; after each batch.
    Progress(Progress),
}
