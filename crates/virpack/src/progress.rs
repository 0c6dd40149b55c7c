//! How far a run is.

use virpack_seq::reader::ReadProgress;

use crate::runner::DeviceTally;

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Bytes of the inputs read.
    pub bytes: u64,
    /// Bytes of all inputs, where they are files.
    pub total_bytes: Option<u64>,
    /// Records written or skipped.
    pub records: u64,
    /// The share of the work that is done, 0 to 1, where the inputs are files.
    pub done: Option<f64>,
    /// What each device has done so far, one model after the other.
    pub devices: Vec<DeviceProgress>,
}

/// What a device has done so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceProgress {
    /// Which model runs on it, where a run has two.
    pub model: Option<&'static str>,
    /// Its place among the model's devices, from 0.
    pub device: usize,
    /// Most tokens in a batch.
    pub token_budget: usize,
    /// Its work.
    pub tally: DeviceTally,
}

/// A model at work.
pub(crate) struct ModelProgress {
    /// Its name, where a run has two.
    pub(crate) model: Option<&'static str>,
    /// Tokens read for it, those that wait included.
    pub(crate) tokens: u64,
    /// Most tokens in a batch.
    pub(crate) token_budget: usize,
    /// Its devices' work.
    pub(crate) tallies: Vec<DeviceTally>,
}

impl Progress {
    /// The progress of a run that has done `records` records with these models.
    pub(crate) fn new(read: &ReadProgress, records: u64, models: &[ModelProgress]) -> Progress {
        let (bytes, total_bytes) = (read.bytes(), read.total_bytes());
        // The reader is ahead of the models: of what is read so much is done as the slower one has done.
        let shares = models.iter().map(ModelProgress::done);
        let computed = shares.fold(1.0, f64::min);
        let done = total_bytes.map(|total| (bytes as f64 / total.max(1) as f64).min(1.0) * computed);
        let devices = models.iter().flat_map(ModelProgress::devices).collect();
        Progress { bytes, total_bytes, records, done, devices }
    }
}

impl ModelProgress {
    fn done(&self) -> f64 {
        let done: u64 = self.tallies.iter().map(|tally| tally.tokens).sum();
        if self.tokens == 0 { 1.0 } else { (done as f64 / self.tokens as f64).min(1.0) }
    }

    fn devices(&self) -> impl Iterator<Item = DeviceProgress> {
        let (model, token_budget) = (self.model, self.token_budget);
        let tallies = self.tallies.iter().enumerate();
        tallies.map(move |(device, tally)| DeviceProgress { model, device, token_budget, tally: *tally })
    }
}
